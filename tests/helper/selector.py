"""Shared by tests: candidates, refuse."""

import torch
from torch.nn import functional as F

from pte.selector.base import Candidates


def candidates(num=5, choices=3, width=4) -> Candidates:
    E, K, d = num, choices, width
    generator = torch.Generator().manual_seed(0)
    return Candidates(
        vector=F.normalize(torch.randn(E, K, d, generator=generator), dim=2),
        context=F.normalize(torch.randn(E, d, generator=generator), dim=1),
        reward=torch.randn(E, K, generator=generator),
        known=torch.ones(E, dtype=torch.bool),
        is_user=torch.arange(E) < 2,
        words=torch.full((E, K), 30.0),
        form=torch.arange(K).expand(E, K),
        temperature=torch.zeros(E, K),
        num_forms=K,
    )


def refuse(*_):
    raise AssertionError("a selector that learns nothing must not train")
