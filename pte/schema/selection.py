"""One vector per entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Selection:
    """One vector per entity, and how it came about."""

    user: np.ndarray  # (U, d)
    item: np.ndarray  # (N+1, d), row 0 zeros
    user_choice: np.ndarray  # (U,) int16: chosen candidate, -1 where several are mixed
    item_choice: np.ndarray  # (N+1,) int16; entry 0 is -1

    def save(self, out: Path) -> None:
        """Write selection.npz into the folder `out`."""
        np.savez(out / "selection.npz", **vars(self))

    @classmethod
    def load(cls, path: Path) -> Selection:
        """Read back what `save` wrote."""
        with np.load(path / "selection.npz", allow_pickle=False) as arrays:
            return cls(*(arrays[name] for name in ("user", "item", "user_choice", "item_choice")))

    @classmethod
    def of(cls, parents: Mapping[str, Path]) -> Selection | None:
        """The latest among a stage's parents, None where no text is read."""
        path = parents.get("refit", parents.get("selection"))
        return None if path is None else cls.load(path)
