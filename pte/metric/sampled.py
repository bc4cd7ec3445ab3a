"""Ranks among 100 drawn negatives, as much of the literature reports them: a legacy figure under a name of its own.

rank = #{j drawn : s_j >= s_target}, ties against the target as in a full ranking. The negatives are drawn without
replacement from the items the user had not met before the case (LLM-ESR's protocol, AAAI 2025 code, where a validation
case leaves out the user's later items as well; its test cases have none). Sampled metrics are not estimates of
full ones and may order methods differently (Krichene & Rendle, KDD 2020), so their names carry the protocol:
`NDCG@10|100neg` never shares a column with `NDCG@10`. Departure: the draw is a function of (seed, case) alone, so that
all methods, batch sizes and processes rank the same candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pte.metric.summary import KS, check_invariants, summarise
from pte.schema import InputError

NEGATIVES = 100


def suffix(negatives: int = NEGATIVES) -> str:
    """What follows the name of a sampled metric: NDCG@10|100neg."""
    return f"|{negatives}neg"


def draws(cases: int, *, seed: int, negatives: int = NEGATIVES) -> np.ndarray:
    """(C, K) float64 in [0, 1): the randomness of all cases of a split at once; a process takes its cases' rows."""
    return np.random.default_rng(seed).random((cases, negatives))


@torch.no_grad()
def sampled_ranks(scores: Tensor, target: Tensor, exclusion: Tensor, draw: Tensor) -> Tensor:
    """0-based ranks (B,) of `target` (B,) among K negatives; scores (B, N), exclusion (B, S) item ids padded with 0.

    draw: (B, K) float64 in [0, 1), this batch's rows of `draws`. `exclusion` may hold the target or not.
    """
    negative = sampled_negatives(scores.shape[1], target, exclusion, draw)
    target_score, negative_score = scores.gather(1, target[:, None] - 1), scores.gather(1, negative - 1)
    if target_score.isnan().any() or negative_score.isnan().any():
        raise ValueError("some scores are NaN: a NaN compares with nothing and would rank first")
    return (negative_score >= target_score).sum(dim=1)


def sampled_negatives(num_items: int, target: Tensor, exclusion: Tensor, draw: Tensor) -> Tensor:
    """(B, K) distinct items that are neither target nor in `exclusion`, every such set equally likely.

    Floyd's sampling: for j = n-K .. n-1 take floor(u (j + 1)), or j itself where that is in the sample already.
    """
    count = draw.shape[1]
    excluded = torch.cat([exclusion, target[:, None]], dim=1).sort(dim=1).values
    fresh = torch.cat([excluded[:, :1] > 0, (excluded[:, 1:] != excluded[:, :-1]) & (excluded[:, 1:] > 0)], dim=1)
    pool = num_items - fresh.sum(dim=1)
    if len(pool) and int(pool.min()) < count:
        raise InputError(
            f"ranking=sampled draws {count} items a user has not met, but one user has met all but {int(pool.min())} of"
            f" {num_items}: take ranking=full"
        )
    sample = torch.full_like(draw, -1, dtype=torch.int64)
    for k in range(count):
        last = pool - count + k
        u = (draw[:, k] * (last + 1)).long()
        duplicate = (sample[:, :k] == u[:, None]).any(dim=1)
        sample[:, k] = torch.where(duplicate, last, u)
    # The u-th item outside s_0 < s_1 < ... is u + 1 + #{k : s_k - 1 - k <= u}; repeated entries go to the end.
    rank = fresh.cumsum(dim=1) - 1
    below = torch.where(fresh, excluded - 1 - rank, num_items).sort(dim=1).values
    return sample + 1 + torch.searchsorted(below, sample, right=True)


def summarise_sampled(
    rank: np.ndarray, groups: Mapping[str, np.ndarray], ks: Sequence[int] = KS, negatives: int = NEGATIVES
) -> dict[str, float]:
    """{"sampled/all/NDCG@10|100neg": mean, ..., "sampled/all/n": cases}; groups as in `summarise`."""
    flat = summarise({"sampled": rank}, groups, ks)
    check_invariants(flat)
    return {f"{key}{suffix(negatives)}" if "@" in key else key: value for key, value in flat.items()}
