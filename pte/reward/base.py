"""What a reward gives back: a score for each of the K candidates of every entity, users before items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pte.reward.data import RewardData
from pte.reward.space import Space


@dataclass(frozen=True)
class PartScore:
    """One part of a reward: higher is better, 0 where nothing is known."""

    value: Tensor  # (E, K)
    known: Tensor  # (E,) bool: False where there was nothing to judge by


class Part(Protocol):
    """One part of `reward=pte` (reward/mixture)."""

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        """Scores of all E entities' candidates. space: whitened vectors and centroids; generator: of CPU draws."""
        ...


@dataclass(frozen=True)
class RewardParts:
    """The raw scores of every part, and their mixture."""

    part: Mapping[str, PartScore]
    total: PartScore  # known: every part that counts in the mixture is


class Reward(Protocol):
    """What a config of the group `reward` builds."""

    def check(self, width: int | None) -> None:
        """InputError where knobs do not go with vectors of this width; None: not known yet."""
        ...

    def score(self, data: RewardData) -> RewardParts:
        """Scores of all E entities' candidates, users before items; of training rows alone, which `data` holds."""
        ...
