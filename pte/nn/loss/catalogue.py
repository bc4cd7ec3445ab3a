"""What a sequence model may minimise, each with the score that belongs to it: a model must be ranked as it was trained.

For a target y with state h, item vectors e, s_j = h . e_j (InfoNCE: cosine / tau) and K drawn negatives j:

    ce       -s_y + log sum_i exp s_i                                            (Klenitskiy & Vasilev, RecSys 2023)
    sampled  -s_y + log( exp s_y + sum_j exp(s_j - log(K Q_j)) )                 (Bengio & Senecal, 2008)
    bce      ( softplus(-s_y) + sum_j softplus(s_j) ) / (K + 1),  K = 1          (SASRec, Kang & McAuley, ICDM 2018)
    gbce     ( beta softplus(-s_y) + sum_j softplus(s_j) ) / (K + 1)             (gSASRec, Petrov & Macdonald, 2023)
    infonce  -s_y + log( exp s_y + sum_j exp s_j )                               (van den Oord et al., 2018)

All are sums over targets divided by `total`, so that the steps of several processes add up. Departures: `sampled`
leaves the target's own logit uncorrected, since the target is in the sum with certainty (so the sum's expectation is
exactly that of `ce`; correcting every logit, as is usual, biases it); `bce` has gSASRec's 1 / (K + 1), which the
original lacks; gBCE's log sigma^beta is written as -beta softplus(-s), which needs no float64 clipping to be exact.

Negatives are `shared` by all targets of a step, one matrix product, or drawn for each target by itself, as SASRec,
gSASRec and AlphaFuse do: with 256 of these a step costs thirty times as much and more than `ce` on small catalogues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.nn.kernel.cross_entropy import catalogue_cross_entropy
from pte.nn.loss.negative import Exclusion, draw


def inner(hidden: Tensor, items: Tensor) -> Tensor:
    """h . e_j for all items (N, D), (B, N)."""
    return hidden @ items.T


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax over the whole catalogue."""

    product: torch.dtype = torch.float32
    kernel: str = "chunked"
    excludes_history: bool = False

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        return catalogue_cross_entropy(
            hidden, table, target, total=total, product_dtype=self.product, kernel=self.kernel
        )

    def score(self, hidden: Tensor, table: Tensor) -> Tensor:
        return inner(*self.vectors(hidden, table))

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        return hidden, table[1:]


@dataclass(frozen=True)
class SampledSoftmax:
    """Softmax over the target and K negatives, each standing for as many items as its probability says.

    uniform: of shared negatives, the share drawn from the whole catalogue; the rest are other targets of the step,
    which are drawn as popularity has it, where the probability mass lies. Q is known exactly for either.
    """

    negatives: int
    uniform: float = 0.5
    log_q: bool = True
    shared: bool = True
    excludes_history: bool = False
    sparse: bool = False

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        exclusion = exclusion or Exclusion.targets(target)
        negatives = draw(
            exclusion, target, self.negatives, len(table) - 1, self.uniform if self.shared else None, generator
        )
        positive, negative = logits(hidden, *rows(table, target, negatives.item, sparse=self.sparse))
        if self.log_q:
            negative = negative - (self.negatives * negatives.q).log()
        return softmax_loss(positive, negative.masked_fill(negatives.void, -math.inf)).sum() / total

    def score(self, hidden: Tensor, table: Tensor) -> Tensor:
        return inner(*self.vectors(hidden, table))

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        return hidden, table[1:]


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The target against K negatives, each a yes or no; calibration t > 0 makes it gBCE.

    With K of N - 1 possible negatives the model learns too high probabilities; t = 1 undoes that, t = 0 does nothing.
    """

    negatives: int
    calibration: float = 0.0
    shared: bool = False
    excludes_history: bool = True
    sparse: bool = False

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        num_items = len(table) - 1
        negatives = draw(
            exclusion or Exclusion.targets(target),
            target,
            self.negatives,
            num_items,
            1.0 if self.shared else None,
            generator,
        )
        positive, negative = logits(hidden, *rows(table, target, negatives.item, sparse=self.sparse))
        against = F.softplus(negative).masked_fill(negatives.void, 0).sum(dim=1)
        own = beta(self.negatives, num_items, self.calibration) * F.softplus(-positive)
        return (own + against).sum() / ((self.negatives + 1) * total)

    def score(self, hidden: Tensor, table: Tensor) -> Tensor:
        return inner(*self.vectors(hidden, table))

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        return hidden, table[1:]


@dataclass(frozen=True)
class InfoNCE:
    """Softmax of cosines over the target and K uniform negatives."""

    negatives: int
    temperature: float
    shared: bool = True
    excludes_history: bool = True
    sparse: bool = False

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        exclusion = exclusion or Exclusion.targets(target)
        negatives = draw(exclusion, target, self.negatives, len(table) - 1, 1.0 if self.shared else None, generator)
        positive, negative = logits(unit(hidden), *map(unit, rows(table, target, negatives.item, sparse=self.sparse)))
        negative = (negative / self.temperature).masked_fill(negatives.void, -math.inf)
        return softmax_loss(positive / self.temperature, negative).sum() / total

    def score(self, hidden: Tensor, table: Tensor) -> Tensor:
        return inner(*self.vectors(hidden, table))

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        return unit(hidden), unit(table[1:])


def rows(table: Tensor, *items: Tensor, sparse: bool) -> tuple[Tensor, ...]:
    """The table's rows of each array of items; sparse: with a gradient of these rows alone."""
    return tuple(F.embedding(item, table, sparse=sparse) for item in items)


def logits(hidden: Tensor, target: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Products of states (T, D) with their targets (T, D) and with negatives, (K, D) shared or (T, K, D) of their own.

    Returns (T,) and (T, K), both float32 whatever the products were made in.
    """
    positive = (hidden * target).sum(dim=1)
    negative = hidden @ negatives.T if negatives.ndim == 2 else torch.einsum("td,tkd->tk", hidden, negatives)
    return positive.float(), negative.float()


def softmax_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """-s_y + log( exp s_y + sum_j exp s_j ), (T,) from (T,) and (T, K); -inf takes a negative out."""
    return torch.cat([positive[:, None], negative], dim=1).logsumexp(dim=1) - positive


def beta(negatives: int, num_items: int, calibration: float) -> float:
    """beta = alpha (t (1 - 1/alpha) + 1/alpha), alpha = K / (N - 1): gSASRec, Eq. 12. t = 0: 1; t = 1: alpha."""
    alpha = min(1.0, negatives / max(1, num_items - 1))
    return alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)


def unit(x: Tensor) -> Tensor:
    """Rows of length one; a zero row stays zero."""
    return F.normalize(x.float(), dim=-1)
