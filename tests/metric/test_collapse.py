"""The figures of collapse on vectors whose answer is known."""

import numpy as np
import pytest

from pte.metric.collapse import effective_rank, pairwise_cosine


def unit(rows, width, seed=0):
    v = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_pairwise_cosine_is_the_mean_over_all_pairs():
    v = unit(40, 5)
    pairs = (v @ v.T)[~np.eye(40, dtype=bool)]
    assert pairwise_cosine(v) == pytest.approx(pairs.mean(), abs=1e-6)
    assert pairwise_cosine(np.tile(v[:1], (9, 1))) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="two vectors"):
        pairwise_cosine(v[:1])


def test_effective_rank_of_known_spectra():
    assert effective_rank(np.tile(unit(1, 7), (5, 1))) == pytest.approx(1, abs=1e-6)
    assert effective_rank(np.eye(6, dtype=np.float32)) == pytest.approx(6)
    singular = np.array([3.0, 1.0])  # p = .75, .25
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert effective_rank(np.diag(singular)) == pytest.approx(np.exp(entropy))


def test_effective_rank_ignores_rotation_and_scale():
    v = unit(200, 8)
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    assert effective_rank(3 * v @ q) == pytest.approx(effective_rank(v), rel=1e-5)
