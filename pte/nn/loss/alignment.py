"""Losses that draw two sets of vectors together row by row.

    cosine alignment:  1 - mean_i cos(a_i, b_i)
    InfoNCE:           mean_i ( log sum_j exp(cos(a_i, b_j) / tau) - cos(a_i, b_i) / tau )

The first is what AlphaFuse's authors (SIGIR 2025) train their RLMRec with; the second is RLMRec's own (Ren et al., WWW
2024, Eqs. 6-9; van den Oord et al., 2018): row i of b is the positive of row i of a, the other rows are its negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_alignment(a: Tensor, b: Tensor) -> Tensor:
    """1 - mean_i cos(a_i, b_i) of (n, D) and (n, D); in [0, 2], 0 where all directions agree."""
    return 1 - (unit(a) * unit(b)).sum(dim=1).mean()


def info_nce(
    a: Tensor, b: Tensor, temperature: float, row: Tensor | None = None, *, total: float | None = None
) -> Tensor:
    """Cross-entropy of finding b_i among all rows of b by cosine with a_i, over `total`; (n, D), (m, D) -> scalar.

    m >= n: the rows of b past the n-th are negatives alone. row: (m,) what each row of b stands for. Rows that stand
    for the same thing are no negatives of one another. total: what the sum is divided by, n if not given: the mean.
    """
    cosine = (unit(a) @ unit(b).T).float() / temperature
    same = torch.arange(len(a), device=a.device)
    if row is not None:
        twin = (row[: len(a), None] == row[None, :]).fill_diagonal_(False)
        cosine = cosine.masked_fill(twin, -torch.inf)
    return F.cross_entropy(cosine, same, reduction="sum") / (len(a) if total is None else total)


def unit(x: Tensor) -> Tensor:
    """Rows of length one, (..., D); a zero row stays zero."""
    return F.normalize(x.float(), dim=-1)
