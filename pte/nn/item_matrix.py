"""Scores by summing rows of an item-item matrix over a history, with recency: what every counted model does at the end.

    score_j = sum_l decay^(steps of l back from the last item) M[h_l, j]

The matrix is sparse and only the rows that stand in a history are read, so the work is that of the numbers added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

_ENTRIES = 2**20  # matrix entries gathered at a time: some 30 MB of scratch; ours: twice as fast as eight times more
_INT32 = 2**31 - 1
_TINY = 1e-12


def recency(item: Tensor, length: Tensor, decay: float) -> Tensor:
    """decay^(steps back from the last item) for right-padded histories `item` (B, L), 0 at padding; (B, L) float32."""
    back = length[:, None] - 1 - torch.arange(item.shape[1], device=item.device)
    return torch.where(back >= 0, decay ** back.clamp(min=0).float(), 0.0)


def train_counts(item: np.ndarray, num_items: int) -> np.ndarray:
    """(N,) float64: how often each item 1..N stands in the training sequences."""
    return np.bincount(item, minlength=num_items + 1)[1:].astype(np.float64)


class ItemMatrix(nn.Module):
    """A sparse (N, N) matrix over items 1..N whose weighted rows are added up per history."""

    start: Tensor  # (N+1,) int64: the entries of item i are start[i-1]:start[i]
    column: Tensor  # (E,) int32 or int64 in 0..N-1
    value: Tensor  # (E,) float32

    def __init__(self, matrix: sparse.csr_array | sparse.csr_matrix) -> None:
        super().__init__()
        width = np.int32 if matrix.nnz <= _INT32 else np.int64  # one for both index arrays, or scipy copies them
        parts = (matrix.data.astype(np.float32), matrix.indices.astype(width), matrix.indptr.astype(width))
        self.csr = sparse.csr_array(parts, shape=matrix.shape)  # stays on the CPU
        self.register_buffer("start", torch.from_numpy(parts[2].astype(np.int64)), persistent=False)
        self.register_buffer("column", torch.from_numpy(parts[1]), persistent=False)
        self.register_buffer("value", torch.from_numpy(parts[0]), persistent=False)

    @property
    def num_items(self) -> int:
        return len(self.start) - 1

    def forward(self, item: Tensor, weight: Tensor) -> Tensor:
        """sum_l weight_bl M[item_bl] for `item`, `weight` (B, L), 0 = padding: (B, N) float32."""
        return self.add_(torch.zeros(len(item), self.num_items, device=item.device), item, weight)

    @torch.no_grad()
    def add_(self, scores: Tensor, item: Tensor, weight: Tensor, largest: Tensor | None = None) -> Tensor:
        """Add the sums to `scores` (B, N), in place, dense and in either order in memory.

        weight: (B, L), or (R, B, L) of R readings of the same items, all of which are added. largest: (B,) or (R, B),
        to which the largest entry of a history's sums is scaled; for a matrix of nothing negative.
        """
        weight = weight if weight.dim() == 3 else weight[None]
        tops = [None] * len(weight) if largest is None else list(largest.view(len(weight), -1))
        if scores.is_cpu:
            for i in range(0, len(weight), 2):
                self._add_sparse(scores, item, weight[i : i + 2], tops[i : i + 2])
            return scores
        for own, top in zip(weight, tops, strict=True):
            sums = torch.zeros(scores.shape, device=scores.device)
            self._add_gathered(sums, item, own)
            if top is not None:
                sums *= (top / sums.amax(dim=1).clamp_min(_TINY))[:, None]
            scores += sums
        return scores

    def _add_sparse(self, scores: Tensor, item: Tensor, weight: Tensor, largest: Sequence[Tensor | None]) -> None:
        """By scipy's product of sparse matrices: no pass over the catalogue; two readings cost one product.

        Two readings, weights (2, B, L), are the two parts of a complex number: their sums have the same places.
        """
        real = item > 0
        begin = F.pad(real.sum(dim=1).cumsum(0), (1, 0)).int().numpy()
        read = weight[:, real].float().numpy()
        history = (read[0] if len(read) == 1 else read[0] + 1j * read[1], item[real].int().numpy() - 1, begin)
        sums = sparse.csr_array(history, shape=tuple(scores.shape)) @ (self.csr if len(read) == 1 else self._complex)
        size, some = np.diff(sums.indptr), sums.indptr[:-1] < sums.indptr[1:]
        parts = sums.data.view(np.float32).reshape(-1, len(read))
        value = np.zeros(len(parts), np.float32)
        for part, top in zip(parts.T, largest, strict=True):
            if top is None:
                value += part
                continue
            scale = np.zeros(len(size), np.float32)  # of a history without entries: nothing is scaled
            scale[some] = top.numpy()[some] / np.maximum(np.maximum.reduceat(part, sums.indptr[:-1][some]), _TINY)
            value += part * np.repeat(scale, size)
        row = np.repeat(np.arange(len(size), dtype=np.int64) * scores.stride(0), size)
        cell = row + sums.indices * np.int64(scores.stride(1))
        np.add.at(scores.as_strided((scores.numel(),), (1,)).numpy(), cell, value)

    @cached_property
    def _complex(self) -> sparse.csr_array:
        """The matrix with complex entries, places shared."""
        return sparse.csr_array((self.csr.data.astype(np.complex64), self.csr.indices, self.csr.indptr), self.csr.shape)

    def _add_gathered(self, scores: Tensor, item: Tensor, weight: Tensor) -> None:
        """By gathering entries, on any device: whole histories at a time, as many as the scratch memory allows."""
        size = torch.where(item > 0, self.start[item] - self.start[(item - 1).clamp(min=0)], 0)
        chunk = (size.sum(dim=1).cumsum(0) // _ENTRIES).tolist()
        begin = 0
        for end in [i for i in range(1, len(chunk)) if chunk[i] != chunk[i - 1]] + [len(chunk)]:
            self._add_chunk(scores[begin:end], item[begin:end], weight[begin:end], size[begin:end])
            begin = end

    def _add_chunk(self, scores: Tensor, item: Tensor, weight: Tensor, size: Tensor) -> None:
        """The weighted rows of a few histories to their scores (B, N), one row after the other in memory."""
        row, place = size.nonzero(as_tuple=True)
        size = size[row, place]
        first = self.start[item[row, place] - 1]
        within = torch.arange(int(size.sum()), device=item.device) - (size.cumsum(0) - size).repeat_interleave(size)
        entry = first.repeat_interleave(size) + within
        cell = (row * self.num_items).repeat_interleave(size) + self.column[entry]
        added = weight[row, place].repeat_interleave(size) * self.value[entry]
        scores.view(-1).index_add_(0, cell, added)
