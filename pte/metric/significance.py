"""Is one method better than another on the same cases? Paired bootstrap, paired permutation test, Holm's correction.

Both tests see only the differences d_c = a_c - b_c of the cases, which take few distinct values (a rank metric at k has
k + 1). Resampling cases is then resampling the counts of the values, exact in law and fast: a multinomial draw for the
bootstrap (Efron, 1979), one binomial draw per distinct |d| for the sign flips (Fisher's randomisation test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, variance

import numpy as np
from scipy.special import stdtrit

_CELLS = 20_000_000  # how many counts are drawn at a time, to bound memory at some 160 MB


@dataclass(frozen=True)
class Interval:
    """A mean difference and its confidence interval."""

    mean: float
    low: float
    high: float


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"a paired test needs two equally long rows of cases, got {a.shape} and {b.shape}")
    return a.astype(np.float64) - b.astype(np.float64)


def _chunks(draws: int, width: int) -> list[int]:
    size = max(1, _CELLS // max(1, width))
    return [min(size, draws - start) for start in range(0, draws, size)]


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator, draws: int = 10_000, level: float = 0.95
) -> Interval:
    """Percentile interval of mean(a - b) over cases drawn with replacement; a, b (C,) are metrics of the same cases."""
    d = _difference(a, b)
    value, count = np.unique(d, return_counts=True)
    share = count / len(d)
    means = np.concatenate([rng.multinomial(len(d), share, n) @ value for n in _chunks(draws, len(value))]) / len(d)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=float(d.mean()), low=float(low), high=float(high))


def paired_permutation(a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator, draws: int = 10_000) -> float:
    """Two-sided p-value of "the labels a and b are exchangeable within a case".

    p = (1 + #{|T*| >= |T|}) / (1 + draws), T = sum d_c: never 0, valid at any number of draws (Phipson & Smyth, 2010).
    """
    d = _difference(a, b)
    size, count = np.unique(np.abs(d[d != 0]), return_counts=True)
    observed = abs(d.sum())
    slack = 1e-9 * max(1.0, float(np.abs(d).sum()))  # equal sums must tie whatever the order of addition
    extreme = 0
    for n in _chunks(draws, len(size)):
        plus = rng.binomial(count, 0.5, size=(n, len(size)))
        extreme += int((np.abs((2 * plus - count) @ size) >= observed - slack).sum())
    return (1 + extreme) / (1 + draws)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values that control the chance of any false claim (Holm, 1979), in the given order.

    With p_(1) <= ... <= p_(m):  adjusted_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)).
    """
    order = np.argsort(p, kind="stable")
    m = len(order)
    scaled = np.minimum(1.0, (m - np.arange(m)) * np.asarray(p, dtype=np.float64)[order])
    adjusted = np.empty(m)
    adjusted[order] = np.maximum.accumulate(scaled)
    return adjusted.tolist()


def minimum_detectable_difference(a: np.ndarray, b: np.ndarray, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """(z_{1-alpha/2} + z_power) sd(a - b) / sqrt(C): a true difference this large is found with probability `power`."""
    d = _difference(a, b)
    if len(d) < 2:
        raise ValueError("one case has no spread: the minimum detectable difference needs two or more")
    z = NormalDist().inv_cdf
    return (z(1 - alpha / 2) + z(power)) * float(d.std(ddof=1)) / math.sqrt(len(d))


def welch(a: Sequence[float], b: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Standard error of mean(a) - mean(b), two groups drawn apart, and what chance alone keeps it below at this level.

    error = sqrt(v_a + v_b), v = s^2 / n; bound = error t_{(1 + level)/2, f} with Welch's degrees of freedom
    f = (v_a + v_b)^2 / (v_a^2 / (n_a - 1) + v_b^2 / (n_b - 1)) (Welch, 1947). With three of each, t lies between 2.8
    and 4.3, where a normal quantile would claim 2. Groups without spread have an error and a bound of 0.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("one value has no spread: Welch's standard error needs two or more in each group")
    v_a, v_b = variance(a) / len(a), variance(b) / len(b)
    if v_a + v_b == 0:
        return 0.0, 0.0
    freedom = (v_a + v_b) ** 2 / (v_a**2 / (len(a) - 1) + v_b**2 / (len(b) - 1))
    error = (v_a + v_b) ** 0.5
    return error, error * float(stdtrit(freedom, (1 + level) / 2))
