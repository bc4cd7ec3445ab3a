"""Vectors of every candidate text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors (float32) of the candidates and of the plain metadata."""

    user: np.ndarray  # (U, K, d)
    item: np.ndarray  # (N+1, K, d), row 0 zeros
    metadata: np.ndarray  # (N+1, d), row 0 zeros: title and text columns, no profile

    def save(self, out: Path) -> None:
        """Write user.npy, item.npy and metadata.npy into the folder `out`."""
        for name, table in vars(self).items():
            np.save(out / f"{name}.npy", table)

    @classmethod
    def load(cls, path: Path) -> Embeddings:
        """Read back what `save` wrote."""
        return cls(*(np.load(path / f"{name}.npy", allow_pickle=False) for name in ("user", "item", "metadata")))
