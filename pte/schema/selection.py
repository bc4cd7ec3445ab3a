"""One vector per entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pte.schema.entities import Entities
from pte.schema.error import InputError


@dataclass(frozen=True)
class Selection:
    """One vector per entity, and how it came about."""

    entities: Entities
    vector: np.ndarray  # (E, d), zeros where no text was encoded
    choice: np.ndarray  # (E,) int16: number of the candidate, -1 where several are mixed

    def side(self, name: str) -> np.ndarray:
        """(U, d) of "user" or (N, d) of "item", a view."""
        return self.vector[self.entities.side(name)]

    @property
    def item_table(self) -> np.ndarray:
        """(N+1, d) with row 0, padding, zeros: as representations read it."""
        return np.concatenate([np.zeros_like(self.vector[:1]), self.side("item")])

    def save(self, out: Path) -> None:
        """Write selection.npz into the folder `out`."""
        np.savez(out / "selection.npz", vector=self.vector, choice=self.choice, num_users=self.entities.num_users)

    @classmethod
    def load(cls, path: Path) -> Selection:
        """Read back what `save` wrote."""
        with np.load(path / "selection.npz", allow_pickle=False) as arrays:
            if "num_users" not in arrays:
                raise InputError(f"{path}: a selection of an earlier version: run the command again to make it anew")
            vector, num_users = arrays["vector"], int(arrays["num_users"])
            return cls(Entities(num_users, len(vector) - num_users), vector, arrays["choice"])

    @classmethod
    def of(cls, parents: Mapping[str, Path]) -> Selection | None:
        """The latest among a stage's parents, None where no text is read."""
        path = parents.get("refit", parents.get("selection"))
        return None if path is None else cls.load(path)
