"""Whitening against six lines of numpy, and by what it promises: centred, unit covariance, nothing lost."""

import numpy as np
import pytest
import torch

from pte.nn.statistic.whitening import axes, whitened, zca_whitened


@pytest.fixture
def rows() -> torch.Tensor:
    """200 vectors of width 6 in a narrow cone: correlated, far from zero, variances over four orders of magnitude."""
    draw = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=draw) * torch.logspace(0, -2, 6)
    return torch.randn(200, 6, generator=draw) @ mixing + 3


def numpy_axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean = x.mean(0)
    basis, variance, _ = np.linalg.svd(np.cov(x - mean, rowvar=False, bias=True))
    return mean, basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(len(basis))]), variance


def test_axes_are_those_of_numpy_svd(rows):
    mean, basis, variance = numpy_axes(rows.double().numpy())
    own = axes(rows)
    np.testing.assert_allclose(own.mean, mean, atol=1e-12)
    np.testing.assert_allclose(own.variance, variance, rtol=1e-8)
    np.testing.assert_allclose(own.basis, basis, atol=1e-6)  # eigenvalue gaps of 1e-4 amplify rounding


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_pca_whitening_is_numpys(rows, eps):
    mean, basis, variance = numpy_axes(rows.double().numpy())
    expected = (rows.double().numpy() - mean) @ basis[:, :4] / np.sqrt(variance[:4] + eps * variance.mean())
    np.testing.assert_allclose(whitened(rows, 4, eps), expected, atol=1e-5)


def test_pca_whitening_gives_unit_covariance(rows):
    z = whitened(rows, 6, 0.0).double()
    assert z.mean(0).abs().max() < 1e-6
    assert torch.allclose(z.T @ z / len(z), torch.eye(6, dtype=torch.float64), atol=1e-5)


def test_zca_whitening_is_numpys_and_the_nearest_white_copy(rows):
    mean, basis, variance = numpy_axes(rows.double().numpy())
    centred = rows.double().numpy() - mean
    expected = centred @ (basis * variance**-0.5) @ basis.T
    np.testing.assert_allclose(zca_whitened(rows, 0.0), expected, atol=1e-5)
    pca = centred @ (basis * variance**-0.5)
    assert ((expected - centred) ** 2).sum() < ((pca - centred) ** 2).sum()


def test_groups_are_whitened_one_by_one(rows):
    grouped = zca_whitened(rows, 0.0, groups=3)
    for block in range(3):
        columns = slice(2 * block, 2 * block + 2)
        assert torch.allclose(grouped[:, columns], zca_whitened(rows[:, columns], 0.0), atol=1e-6)
    across = (grouped[:, :2].T @ grouped[:, 2:4] / len(rows)).abs().max()
    assert across > 0.1, "between groups the correlation stays: that is what relaxed whitening keeps"


def test_order_of_the_rows_does_not_matter(rows):
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(whitened(rows[order], 5, 1e-6), whitened(rows, 5, 1e-6)[order], atol=1e-5)


def test_a_direction_without_variance_stays_finite_and_zero():
    flat = torch.cat([torch.randn(50, 3, generator=torch.Generator().manual_seed(2)), torch.ones(50, 2)], dim=1)
    z = whitened(flat, 5, 1e-5)
    assert z.isfinite().all()
    assert z[:, 3:].abs().max() < 1e-4
    assert whitened(torch.ones(4, 3), 3, 0.0).isfinite().all(), "all rows equal: nothing to scale"


@pytest.mark.parametrize("block", [1, 7, 16])
def test_blocks_of_rows_change_nothing_but_rounding(monkeypatch, block):
    vectors = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    whole = [whitened(vectors, 4, 1e-5), zca_whitened(vectors, 1e-5, groups=2)]
    monkeypatch.setattr("pte.nn.statistic.whitening._BLOCK", block)
    for expected, found in zip(whole, [whitened(vectors, 4, 1e-5), zca_whitened(vectors, 1e-5, groups=2)], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
