"""Vectors of every candidate text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors (float32) of the candidates and of the plain metadata; None where nothing reads a side's texts."""

    user: np.ndarray | None  # (U, K, d)
    item: np.ndarray  # (N+1, K, d), row 0 zeros
    metadata: np.ndarray | None  # (N+1, d), row 0 zeros: title and text columns, no profile

    def save(self, out: Path) -> None:
        """Write item.npy, and user.npy and metadata.npy where they are known, into the folder `out`."""
        for name, table in vars(self).items():
            if table is not None:
                np.save(out / f"{name}.npy", table)

    @classmethod
    def load(cls, path: Path) -> Embeddings:
        """Read back what `save` wrote."""
        user, metadata = (
            np.load(file, allow_pickle=False) if (file := path / f"{name}.npy").exists() else None
            for name in ("user", "metadata")
        )
        return cls(user, np.load(path / "item.npy", allow_pickle=False), metadata)
