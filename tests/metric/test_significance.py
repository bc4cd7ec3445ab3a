"""Closed forms where they exist, enumeration where the case is small, calibration where it is not."""

import itertools

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pte.metric.significance import (
    holm,
    minimum_detectable_difference,
    paired_bootstrap,
    paired_permutation,
    welch,
)


def test_bootstrap_interval_is_the_normal_one_for_many_cases():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 1, 4000), np.zeros(4000)
    got = paired_bootstrap(a, b, rng=rng, draws=2000)
    half = 1.96 * a.std() / 4000**0.5
    assert got.mean == pytest.approx(a.mean())
    # 2,000 draws: the 2.5 % quantile has a standard error of about 6 % of half the width; four of them
    assert got.low == pytest.approx(a.mean() - half, abs=0.25 * half)
    assert got.high == pytest.approx(a.mean() + half, abs=0.25 * half)


def test_bootstrap_of_equal_methods_is_zero():
    a = np.array([0.0, 1.0, 0.5])
    got = paired_bootstrap(a, a, rng=np.random.default_rng(0), draws=100)
    assert (got.mean, got.low, got.high) == (0, 0, 0)


def test_permutation_against_all_sign_flips():
    d = np.array([0.5, 0.5, -0.2, 0.9, 0.3, -0.1, 0.3])
    sums = [abs(np.dot(signs, d)) for signs in itertools.product([-1, 1], repeat=len(d))]
    exact = np.mean([s >= abs(d.sum()) - 1e-12 for s in sums])
    got = paired_permutation(d, np.zeros(7), rng=np.random.default_rng(0), draws=40_000)
    assert got == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 40_000) ** 0.5)


def test_permutation_is_calibrated_and_never_zero():
    rng = np.random.default_rng(1)
    p = [paired_permutation(rng.normal(size=40), np.zeros(40), rng=rng, draws=200) for _ in range(300)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 300) ** 0.5)
    assert paired_permutation(np.ones(200), np.zeros(200), rng=rng, draws=999) == pytest.approx(1 / 1000)
    assert paired_permutation(np.ones(5), np.ones(5), rng=rng, draws=99) == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_minimum_detectable_difference_by_hand():
    a = np.array([1.0, -1.0] * 50)
    sd = (100 / 99) ** 0.5
    assert minimum_detectable_difference(a, np.zeros(100)) == pytest.approx((1.959964 + 0.841621) * sd / 10, rel=1e-5)


def test_unpaired_rows_are_refused():
    with pytest.raises(ValueError, match="equally long"):
        paired_bootstrap(np.ones(3), np.ones(4), rng=np.random.default_rng(0))


def test_welch_against_scipy():
    a, b = [0.0611, 0.0606, 0.0614], [0.0647, 0.0646, 0.0648, 0.0650]
    error, bound = welch(a, b)
    interval = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert bound == pytest.approx((interval.high - interval.low) / 2)
    assert error == pytest.approx((np.var(a, ddof=1) / 3 + np.var(b, ddof=1) / 4) ** 0.5)


def test_welch_without_spread_and_with_one_value():
    assert welch([0.5, 0.5], [0.2, 0.2, 0.2]) == (0, 0)
    with pytest.raises(ValueError, match="two or more"):
        welch([0.5], [0.2, 0.3])


def test_welch_bound_keeps_its_promise():
    """Equal groups of three: the bound is passed once in twenty (Welch is a little careful with so few)."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4000, 3)), rng.normal(size=(4000, 3))
    passed = np.mean([abs(x.mean() - y.mean()) > welch(x, y)[1] for x, y in zip(a, b, strict=True)])
    assert 0.02 < passed < 0.06  # twice the normal error would be passed 12 times in a hundred
