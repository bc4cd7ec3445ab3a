"""Shared by tests: D, K, N, U, USER, ITEM, rng, unit, world. Item i stands in row U + i - 1."""

import numpy as np
import torch
from torch.nn import functional as F

from pte.reward.data import RewardData
from pte.schema import Entities

U, N, K, D = 40, 30, 3, 16
USER, ITEM = slice(0, U), slice(U, U + N)


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def world(seed=0) -> RewardData:
    """40 users of 6 distinct rows among 30 items; the last row of every user but user 0 is withheld."""
    rng = np.random.default_rng(seed)
    item = np.stack([rng.permutation(N)[:6] + 1 for _ in range(U)])
    user = np.repeat(np.arange(U), 6)
    withheld = np.tile([False] * 5 + [True], (U, 1))
    withheld[0] = False
    visible = ~torch.from_numpy(withheld.ravel())
    return RewardData(
        entities=Entities(U, N),
        vector=torch.cat([unit(U, K, D, seed=4), unit(N + 1, K, D, seed=5)[1:]]),
        metadata=unit(N + 1, D, seed=3)[1:],
        text=[["a text"] * K] * (U + N),
        parsed=torch.ones(U + N, K, dtype=torch.bool),
        title=[""] * U + [f"title number {i}" for i in range(1, N + 1)],
        row_user=torch.from_numpy(user),
        row_item=torch.from_numpy(item.ravel()) + U - 1,
        visible=visible,
        withheld=~visible,
    )


def rng(seed=0):
    return torch.Generator().manual_seed(seed)
