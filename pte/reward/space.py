"""The space in which rewards compare, and what stands in it for an entity: whitened vectors and centroids.

    e -> W (e - mu) / |W (e - mu)|,  W from the `width` leading principal axes, each scaled to unit variance
    a_i = unit( sum_k e_ik + m_i )       an item's centroid, of K candidates and metadata
    a_i,-k = unit( a_i's sum without e_ik )                     leave-one-out centroid, which candidate k is judged by
    h_u = unit( sum of a_i over u's visible rows )              a user's centroid

Departure: candidates are not compared with plain metadata vectors. Raw text vectors share large components of style,
and against metadata the texts that repeat the metadata win, whatever they hold of behaviour. Here a candidate is judged
by what it will be used for: being near to, and far from, the vectors others will have. Metadata is one term of
K + 1, so that K equal candidates cannot move the centroid to themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import repeat
from torch import Tensor
from torch.nn import functional as F

from pte.reward.data import RewardData, visible_mean

SMALLEST = 1e-6  # of the largest variance: axes below it are rounding
BLOCK = 262_144  # rows that are copied in double precision at a time: 0.8 GB of 384 columns


@dataclass(frozen=True)
class Space:
    """Unit vectors; a row of zeros where nothing is known."""

    user: Tensor  # (U, K, r) candidates
    item: Tensor  # (N+1, K, r)
    user_centroid: Tensor  # (U, r)
    item_centroid: Tensor  # (N+1, r)
    user_leave_one_out: Tensor  # (U, K, r) leave-one-out centroid for candidate k; for users always h_u
    item_leave_one_out: Tensor  # (N+1, K, r)

    @classmethod
    def of(cls, data: RewardData, width: int | None) -> Space:
        """Vectors of `data` in the space of `width` axes fitted on all items; None leaves them as they are."""
        user, item, metadata = data.user, data.item, data.metadata
        if width:
            whitened = Whitening.fit(torch.cat([item, metadata[:, None]], dim=1), width)
            user, item, metadata = whitened(user), whitened(item), whitened(metadata)
        total = item.sum(dim=1) + metadata
        centroid = F.normalize(total, dim=-1)
        visible = data.visible
        user_centroid = visible_mean(centroid, data.row_user[visible], data.row_item[visible], len(user))
        return cls(
            user=user,
            item=item,
            user_centroid=user_centroid,
            item_centroid=centroid,
            user_leave_one_out=repeat(user_centroid, "n r -> n k r", k=user.shape[1]),
            item_leave_one_out=F.normalize(total[:, None] - item, dim=-1),
        )


@dataclass(frozen=True)
class Whitening:
    """x -> W (x - mu) at unit length; rows of zeros stay zeros."""

    mean: Tensor  # (d,)
    axes: Tensor  # (d, r)

    @classmethod
    def fit(cls, vectors: Tensor, width: int) -> Whitening:
        """From all rows that are not zero of (..., d), read in blocks; fewer axes where there is less variance."""
        mean, count = _mean(vectors.flatten(0, -2))
        square = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
        for block in _with_text(vectors.flatten(0, -2)):
            centred = (block - mean).double()
            square += centred.T @ centred
        variance, axes = torch.linalg.eigh(square / count)  # in ascending order
        leading = variance > SMALLEST * variance[-1]
        leading[: max(0, len(leading) - width)] = False
        return cls(mean, (axes[:, leading] / variance[leading].sqrt()).to(mean.dtype))

    def __call__(self, vectors: Tensor) -> Tensor:
        """(..., d) -> (..., r)."""
        rows = vectors.flatten(0, -2)
        return torch.cat([self._block(block) for block in rows.split(BLOCK)]).unflatten(0, vectors.shape[:-1])

    def _block(self, vectors: Tensor) -> Tensor:
        blank = ~vectors.any(dim=-1, keepdim=True)
        return F.normalize((vectors - self.mean) @ self.axes, dim=-1).masked_fill(blank, 0.0)


def _with_text(rows: Tensor) -> Iterator[Tensor]:
    """The rows (n, d) that are not zero, block by block."""
    for block in rows.split(BLOCK):
        yield block[block.any(dim=1)]


def _mean(rows: Tensor) -> tuple[Tensor, int]:
    """Their mean (d,), and their number: block means, weighted in double precision."""
    parts = [(block.mean(dim=0).double() * len(block), len(block)) for block in _with_text(rows) if len(block)]
    count = sum(number for _, number in parts)
    return (torch.stack([part for part, _ in parts]).sum(dim=0) / count).to(rows.dtype), count
