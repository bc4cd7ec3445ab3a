"""Softmax of cosines over the target and K uniform negatives (van den Oord et al., 2018), AlphaFuse's loss.

Departure: negatives are shared and leave out histories, where AlphaFuse draws 64 for each target and leaves out the
target alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pte.nn.loss.alignment import unit
from pte.nn.loss.base import logits, require_negatives, rows, softmax_loss
from pte.nn.loss.negative import Exclusion, draw
from pte.nn.noise import Generator
from pte.schema import require


@dataclass(frozen=True)
class InfoNCE:
    """temperature: tau, which divides the cosines; shared: all targets of a step have the same negatives."""

    negatives: int = 64
    temperature: float = 0.07
    shared: bool = True
    exclude_history: bool = True

    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_negatives(self.negatives)
        divides = "it divides the cosines, so it must be positive"
        require(self.temperature > 0, "backbone.loss.temperature", self.temperature, divides)

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        sparse: bool = False, generator: Generator = None,
    ) -> Tensor:  # fmt: skip
        exclusion = exclusion or Exclusion.targets(target)
        negatives = draw(exclusion, target, self.negatives, len(table) - 1, 1.0 if self.shared else None, generator)
        positive, negative = logits(unit(hidden), *map(unit, rows(table, target, negatives.item, sparse=sparse)))
        negative = (negative / self.temperature).masked_fill(negatives.void, -math.inf)
        return softmax_loss(positive / self.temperature, negative).sum() / total

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """States and items at unit length; a zero row stays zero."""
        return unit(hidden), unit(table[1:])
