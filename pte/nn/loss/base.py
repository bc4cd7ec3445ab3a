"""What a sequence model may minimise, each with the score that belongs to it: a model must be ranked as it was trained.

For a target y with state h, item vectors e, s_j = h . e_j (InfoNCE: cosine / tau) and K drawn negatives j:

    CrossEntropy        -s_y + log sum_i exp s_i                             (Klenitskiy & Vasilev, RecSys 2023)
    SampledSoftmax      -s_y + log( exp s_y + sum_j exp(s_j - log(K Q_j)) )  (Bengio & Senecal, 2008)
    BinaryCrossEntropy  ( softplus(-s_y) + sum_j softplus(s_j) ) / (K + 1)   (SASRec, Kang & McAuley, ICDM 2018)
    GBCE                ( beta softplus(-s_y) + sum_j softplus(s_j) ) / (K + 1) (gSASRec, Petrov & Macdonald, 2023)
    InfoNCE             -s_y + log( exp s_y + sum_j exp s_j )                (van den Oord et al., 2018)

All are sums over targets divided by `total`, so that the steps of several processes add up. Negatives are `shared` by
all targets of a step, one matrix product, or drawn for each target by itself, as SASRec, gSASRec and AlphaFuse do: with
256 of these a step costs thirty times as much, and more than full cross-entropy on small catalogues.

A loss is a file here, a class that checks its own knobs, and an option of the same name in conf/backbone/loss.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.nn.loss.negative import Exclusion
from pte.nn.noise import Generator
from pte.schema import require


class Loss(Protocol):
    """A loss and the vectors of the same geometry."""

    samples: ClassVar[bool]  # whether a step reads the rows of targets and negatives alone, not the whole table

    @property
    def exclude_history(self) -> bool:
        """Whether `exclusion` should hold whole histories: `Exclusion.histories`; else None will do."""
        ...

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        sparse: bool = False, generator: Generator = None,
    ) -> Tensor:  # fmt: skip
        """Scalar from states (T, D), table (N+1, D), targets (T,) in 1..N; exclusion: items not to be drawn.

        sparse: the table's gradient holds the rows read and no others, so that a step costs the same whatever the size
        of the catalogue; for losses that sample.
        """
        ...

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) and (N, D), whose inner products are the scores, from states (B, D) and table (N+1, D)."""
        ...


class InnerProduct:
    """The score s_j = h . e_j."""

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """States as they are, items without padding."""
        return hidden, table[1:]


def inner(hidden: Tensor, items: Tensor) -> Tensor:
    """h . e_j for all items (N, D), (B, N)."""
    return hidden @ items.T


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


def require_negatives(count: int) -> None:
    """Refuse a number of negatives below 1."""
    require(count >= 1, "backbone.loss.negatives", count, "give a whole number, 1 or more")
