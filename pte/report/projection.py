"""Vectors of many dimensions on a plane."""

from __future__ import annotations

import numpy as np


def principal_axes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean (d,), the two axes of largest variance (d, 2), and what share of the variance they hold."""
    mean = vectors.mean(axis=0)
    size, axes = np.linalg.eigh(np.cov(vectors - mean, rowvar=False))
    share = size[-2:].sum() / max(size.sum(), 1e-12)
    return mean, axes[:, :-3:-1], float(share)
