"""Shared by tests: D, K, N, U, rng, unit, world."""

import numpy as np
import torch
from torch.nn import functional as F

from pte.reward.data import RewardData, Texts

U, N, K, D = 40, 30, 3, 16


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
    items, metadata = unit(N + 1, K, D, seed=5), unit(N + 1, D, seed=3)
    items[0], metadata[0] = 0, 0
    texts = [Texts([["a text"] * K] * n, torch.ones(n, K, dtype=torch.bool)) for n in (U, N + 1)]
    title = [""] + [f"title number {i}" for i in range(1, N + 1)]
    rows = torch.from_numpy(user), torch.from_numpy(item.ravel())
    return RewardData(unit(U, K, D, seed=4), items, metadata, *texts, *rows, visible, ~visible, title)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)
