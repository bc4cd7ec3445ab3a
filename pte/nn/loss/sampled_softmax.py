"""Softmax over the target and K negatives, each standing for as many items as its probability says.

Bengio & Senecal, IEEE Trans. Neural Networks 2008; 256 negatives as eSASRec.
Departure: the target's own logit stays uncorrected, since the target is in the sum with certainty, so that the sum's
expectation is exactly that of full cross-entropy; correcting every logit, as is usual, biases it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pte.nn.loss.base import InnerProduct, logits, require_negatives, rows, softmax_loss
from pte.nn.loss.negative import Exclusion, draw
from pte.nn.noise import Generator
from pte.schema import require


@dataclass(frozen=True)
class SampledSoftmax(InnerProduct):
    """uniform: of negatives that a step's targets share, the share drawn from the whole catalogue; the rest are other
    targets of the step, which are drawn as popularity has it, where the probability mass lies. Q is known exactly for
    either. None: each target draws negatives of its own from the whole catalogue.
    """

    negatives: int = 256
    uniform: float | None = 0.5
    exclude_history: bool = False

    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_negatives(self.negatives)
        share = "a share above 0, up to 1, or null for negatives of each target's own"
        require(self.uniform is None or 0 < self.uniform <= 1, "backbone.loss.uniform", self.uniform, share)

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        sparse: bool = False, generator: Generator = None,
    ) -> Tensor:  # fmt: skip
        exclusion = exclusion or Exclusion.targets(target)
        negatives = draw(exclusion, target, self.negatives, len(table) - 1, self.uniform, generator)
        positive, negative = logits(hidden, *rows(table, target, negatives.item, sparse=sparse))
        negative = negative - (self.negatives * negatives.q).log()
        return softmax_loss(positive, negative.masked_fill(negatives.void, -math.inf)).sum() / total
