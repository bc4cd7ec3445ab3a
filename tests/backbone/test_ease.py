"""EASE against its definition: the minimiser of a ridge regression whose diagonal is zero."""

import numpy as np
import pytest
import torch

from pte.backbone.ease import EASE, zero_diagonal_ridge
from pte.nn.batch import History
from pte.schema import InputError


def ease(num_items=5, **knobs) -> EASE:
    own = {"ridge": 2.0, "recency": 0.5, "fallback": 0.0, "max_items": 100}
    return EASE(representation=None, num_items=num_items, length=50, **own | knobs)


def test_closed_form_is_the_column_by_column_ridge_regression():
    """Column j: regress X_j on all other columns, min |X_j - X_-j b|^2 + lambda |b|^2; numpy, float64."""
    x = (np.random.default_rng(0).random((40, 6)) < 0.4).astype(np.float64)
    weight = zero_diagonal_ridge(torch.from_numpy(x.T @ x).float(), 3.0)
    assert weight[0].abs().max() == 0
    for j in range(6):
        rest = np.arange(6) != j
        b = np.linalg.solve(x[:, rest].T @ x[:, rest] + 3 * np.eye(5), x[:, rest].T @ x[:, j])
        np.testing.assert_allclose(weight[1:][rest, j], b, atol=1e-5)
        assert weight[1 + j, j] == 0


def test_scores_are_recency_weighted_rows():
    model = ease(fallback=0.1)
    model.fit(np.array([1, 2, 2, 3, 1, 4]), np.array([0, 3, 4, 6]))
    score = model.score(History(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])))
    popularity = 0.1 * torch.tensor([1, 0.5, 0.5, 0.5, 0])
    torch.testing.assert_close(score[0], 0.5 * model.weight[1] + model.weight[2] + popularity)
    torch.testing.assert_close(score[1], model.weight[3] + popularity)


def test_large_catalogues_are_refused_before_any_work():
    with pytest.raises(InputError, match=r"1,000,000 items.*backbone=item_knn.*max_items=1000000"):
        ease(num_items=1_000_000)


def test_mistakes_are_reported():
    with pytest.raises(InputError, match="ridge=0"):
        ease(ridge=0)
    with pytest.raises(InputError, match="recency=2"):
        ease(recency=2)
    with pytest.raises(RuntimeError, match="fit comes before score"):
        ease().score(History(torch.tensor([[1]]), torch.tensor([1])))
