"""Have the vectors of many entities become alike? Two figures that a collapse moves, in closed form."""

from __future__ import annotations

import numpy as np


def pairwise_cosine(vectors: np.ndarray) -> float:
    """Mean of v_i . v_j over all pairs i != j of n unit rows (n, d): (|sum_i v_i|^2 - sum_i |v_i|^2) / (n (n - 1)).

    Towards 1 under collapse. No pair is formed, so any n will do.
    """
    n = len(vectors)
    if n < 2:
        raise ValueError(f"a pairwise cosine needs two vectors or more, got {n}")
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - np.square(vectors, dtype=np.float64).sum()) / (n * (n - 1)))


def effective_rank(vectors: np.ndarray) -> float:
    """exp H(p), p = sigma / sum sigma, of the singular values of (n, d) (Roy & Vetterli, 2007); 1 if all are parallel.

    The singular values are the roots of the eigenvalues of the (d, d) Gram matrix, uncentred.
    """
    exact = vectors.astype(np.float64)
    gram = exact.T @ exact
    sigma = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0.0, None))
    p = sigma[sigma > 1e-6 * sigma.max(initial=0.0)]  # smaller ones are rounding
    p = p / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
