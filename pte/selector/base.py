"""What a selector may look at, and what it decides: one vector for each of E entities out of K candidates.

Users and items stand in one table (pte/schema/entities.py), so that one policy serves both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Candidates:
    """E entities with K candidates each."""

    vector: Tensor  # (E, K, d) unit vectors
    context: Tensor  # (E, d) vector of the entity without its profile; zeros where nothing is known
    reward: Tensor  # (E, K) the mixture
    known: Tensor  # (E,) bool: every part of the reward had something to judge by
    is_user: Tensor  # (E,) bool
    words: Tensor  # (E, K) float, length of the text
    form: Tensor  # (E, K) int64 in 0..num_forms-1, which prompt form or template
    temperature: Tensor  # (E, K) float, of the generation
    num_forms: int

    def __len__(self) -> int:
        return len(self.vector)

    @property
    def num_candidates(self) -> int:
        return self.vector.shape[1]

    def take(self, index: Tensor) -> Tensor:
        """(E, d) the candidate `index` (E,) of each entity."""
        return self.vector[torch.arange(len(self), device=index.device), index]


@dataclass(frozen=True)
class Choice:
    """What a selector decided."""

    vector: Tensor  # (E, d)
    index: Tensor  # (E,) int64, -1 where several candidates are mixed
    probability: Tensor  # (E, K), one where it was certain


# fit(selector, policy, candidates, trained, held_out): trains a policy in place on the entities `trained` (E,) bool and
# reports on those of `held_out`; given from outside, so that no selector knows how training is organised.
Fit = Callable[[Any, nn.Module, Candidates, Tensor, Tensor], None]


class Selector(Protocol):
    """What a config of the group `selector` builds."""

    reads_reward: bool  # where it does, users are encoded, and texts first written without the rows that judge them
    withheld_share: float  # of the withheld rows, how many the reward may read; the rest judges the choice afterwards

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        """One vector for each of the E entities. fit: trains a policy, for selectors that have one."""
        ...


def certain(candidates: Candidates, index: Tensor) -> Choice:
    """A choice of one candidate each, made with certainty."""
    probability = torch.zeros_like(candidates.reward).scatter_(1, index[:, None], 1.0)
    return Choice(candidates.take(index), index, probability)
