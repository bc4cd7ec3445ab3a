"""Neighbours by cosine, against brute force."""

import numpy as np
import torch

from pte.nn.statistic.neighbor import mean_by_sequence, nearest


def test_means_by_hand():
    table = torch.tensor([[0.0, 0], [1, 0], [0, 1], [4, 4]])
    item, begin, length = torch.tensor([1, 2, 3, 3, 1]), torch.tensor([0, 2, 3]), torch.tensor([2, 1, 2])
    assert mean_by_sequence(table, item, begin, length).tolist() == [[0.5, 0.5], [4, 4], [2.5, 2]]


def test_sequences_may_stand_anywhere_in_any_order():
    table, item = torch.tensor([[0.0], [1], [2], [3]]), torch.tensor([1, 2, 3])
    found = mean_by_sequence(table, item, torch.tensor([2, 0]), torch.tensor([1, 2]))
    assert found.tolist() == [[3], [1.5]]


def test_nearest_is_brute_force_without_oneself():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    direction = (x / x.norm(dim=1, keepdim=True)).numpy()
    cosine = direction @ direction.T
    np.fill_diagonal(cosine, -2)
    expected = np.argsort(-cosine, axis=1)[:, :5]
    assert nearest(x, 5, pool=1000).numpy().tolist() == expected.tolist()


def test_blocks_do_not_show(monkeypatch):
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    whole = nearest(x, 3, pool=50)
    monkeypatch.setattr("pte.nn.statistic.neighbor._BLOCK", 120)
    assert torch.equal(nearest(x, 3, pool=50), whole)


def test_a_pool_is_spread_evenly_and_bounds_the_neighbours():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    found = nearest(x, 5, pool=10)
    assert set(found.flatten().tolist()) <= set(range(0, 50, 5))
    assert not (found == torch.arange(50)[:, None]).any()
    assert nearest(x[:3], 5, pool=10).shape == (3, 2)
