"""The target against K negatives, each a yes or no: SASRec's own loss with K = 1 (Kang & McAuley, ICDM 2018).

Departure: the sum is divided by K + 1, as gSASRec's; the original is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from pte.nn.loss.base import InnerProduct, logits, require_negatives, rows
from pte.nn.loss.negative import Exclusion, draw
from pte.nn.noise import Generator


@dataclass(frozen=True)
class BinaryCrossEntropy(InnerProduct):
    """shared: all targets of a step have the same negatives; else each draws its own."""

    negatives: int = 1
    shared: bool = False
    exclude_history: bool = True

    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_negatives(self.negatives)

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        sparse: bool = False, generator: Generator = None,
    ) -> Tensor:  # fmt: skip
        num_items = len(table) - 1
        exclusion = exclusion or Exclusion.targets(target)
        negatives = draw(exclusion, target, self.negatives, num_items, 1.0 if self.shared else None, generator)
        positive, negative = logits(hidden, *rows(table, target, negatives.item, sparse=sparse))
        against = F.softplus(negative).masked_fill(negatives.void, 0).sum(dim=1)
        own = self.beta(num_items) * F.softplus(-positive)
        return (own + against).sum() / ((self.negatives + 1) * total)

    def beta(self, num_items: int) -> float:
        """The weight of the target's own term."""
        return 1.0
