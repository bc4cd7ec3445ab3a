"""Vectors of every candidate text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors (float32) of the candidates and of the plain metadata."""

    user: np.ndarray | None  # (U, K, d); None where nothing reads users' texts, so that they were not encoded
    item: np.ndarray  # (N+1, K, d), row 0 zeros
    metadata: np.ndarray  # (N+1, d), row 0 zeros: title and text columns, no profile

    def save(self, out: Path) -> None:
        """Write user.npy (where users were encoded), item.npy and metadata.npy into the folder `out`."""
        for name, table in vars(self).items():
            if table is not None:
                np.save(out / f"{name}.npy", table)

    @classmethod
    def load(cls, path: Path) -> Embeddings:
        """Read back what `save` wrote."""
        sides = {name: path / f"{name}.npy" for name in ("user", "item", "metadata")}
        if not sides["user"].exists():
            del sides["user"]
        return cls(**{"user": None, **{name: np.load(file, allow_pickle=False) for name, file in sides.items()}})
