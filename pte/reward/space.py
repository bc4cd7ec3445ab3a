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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.reward.data import RewardData
from pte.schema import Entities, InputError

SMALLEST = 1e-6  # of the largest variance: axes below it are rounding
BLOCK = 262_144  # rows that are copied in double precision at a time: 0.8 GB of 384 columns


@dataclass(frozen=True)
class Space:
    """Unit vectors of the E entities; a row of zeros where nothing is known."""

    entities: Entities
    vector: Tensor  # (E, K, r) candidates
    centroid: Tensor  # (E, r)
    total: Tensor  # (N, r) an item's candidates and metadata, summed

    @classmethod
    def of(cls, data: RewardData, width: int | None) -> Space:
        """Vectors of `data` in the space of `width` axes fitted on all items; None leaves them as they are."""
        vector, metadata, item = data.vector, data.metadata, data.entities.item
        if width:
            whitened = Whitening.fit(vector[item], metadata, width=width)
            vector, metadata = whitened(vector), whitened(metadata)
        total = vector[item].sum(dim=1) + metadata
        centroid = F.normalize(total, dim=-1)
        return cls(data.entities, vector, torch.cat([data.visible_mean(centroid), centroid]), total)

    def leave_one_out(self, k: int) -> Tensor:
        """(E, r) the leave-one-out centroids that candidates k are judged by; of users always h_u."""
        others = self.total - self.vector[self.entities.item, k]
        return torch.cat([self.centroid[self.entities.user], F.normalize(others, dim=-1)])


@dataclass(frozen=True)
class Whitening:
    """x -> W (x - mu) at unit length; rows of zeros stay zeros."""

    mean: Tensor  # (d,)
    axes: Tensor  # (d, r)

    @classmethod
    def fit(cls, *tables: Tensor, width: int) -> Whitening:
        """From all vectors of (n, ..., d) tables that are not zero, a block of rows at a time, with double-precision
        sums; fewer axes where there is less variance.
        """
        total, count = torch.zeros(tables[0].shape[-1], dtype=torch.float64, device=tables[0].device), 0
        for block in _blocks(tables):
            total, count = total + block.mean(dim=0).double() * len(block), count + len(block)
        if not count:
            raise InputError(
                "reward: all texts of items are blank, so that there is nothing to compare profiles by: look at the"
                " profiles (until=profiles, pte export profiles RUN)"
            )
        mean = (total / count).to(tables[0].dtype)
        square = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
        for block in _blocks(tables):
            centred = (block - mean).double()
            square += centred.T @ centred
        variance, axes = torch.linalg.eigh(square / count)  # in ascending order
        leading = variance > SMALLEST * variance[-1]
        leading[: max(0, len(leading) - width)] = False
        return cls(mean, (axes[:, leading] / variance[leading].sqrt()).to(mean.dtype))

    def __call__(self, vectors: Tensor) -> Tensor:
        """(..., d) -> (..., r)."""
        rows = vectors.flatten(0, -2)
        out = rows.new_empty(len(rows), self.axes.shape[1])
        for block, place in zip(rows.split(BLOCK), out.split(BLOCK), strict=True):
            blank = ~block.any(dim=-1, keepdim=True)
            place.copy_(F.normalize((block - self.mean) @ self.axes, dim=-1).masked_fill(blank, 0.0))
        return out.view(*vectors.shape[:-1], out.shape[1])


def _blocks(tables: Sequence[Tensor]) -> Iterator[Tensor]:
    """The vectors (m, d) that are not zero, of as many entities at a time as have at most BLOCK in all tables."""
    groups = [table.reshape(len(table), -1, table.shape[-1]) for table in tables]
    size = max(1, BLOCK // sum(group.shape[1] for group in groups))
    for parts in zip(*(group.split(size) for group in groups), strict=True):
        rows = torch.cat(parts, dim=1).flatten(0, 1)
        if (known := rows.any(dim=1)).any():
            yield rows[known]
