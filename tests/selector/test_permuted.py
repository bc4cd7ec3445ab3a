"""The control that deals the texts out anew: all vectors stay, on their own side, and hardly any in its place."""

import torch
from helper.selector import candidates, refuse
from torch.nn import functional as F

from pte.selector.permuted import Permuted


def test_permuted():
    table = candidates(num=200)
    table.is_user[:80] = True
    choice = Permuted(seed=1).select(table, fit=refuse)
    mean = F.normalize(table.vector.sum(dim=1), dim=1)
    assert not torch.equal(choice.vector, mean)
    for side in (table.is_user, ~table.is_user):
        assert torch.equal(choice.vector[side].sort(dim=0).values, mean[side].sort(dim=0).values)
    assert (choice.vector == mean).all(dim=1).sum() < 10  # about one per side stays by chance
    assert choice.index.tolist() == [-1] * 200
    assert torch.equal(choice.vector, Permuted(seed=1).select(table, fit=refuse).vector)
    assert not torch.equal(choice.vector, Permuted(seed=2).select(table, fit=refuse).vector)
