"""The one order of entities in every table from embeddings to selection."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

FIRST = {"user": 0, "item": 1}  # the number of a side's first entity: item 0 is padding, and in no such table


@dataclass(frozen=True)
class Entities:
    """The E = U + N rows of a table: users 0..U-1, then items 1..N. `table[entities.user]` is a view, no copy."""

    num_users: int
    num_items: int

    def save(self, out: Path) -> None:
        """Write entities.json into the folder `out`."""
        (out / "entities.json").write_text(json.dumps(asdict(self)), encoding="utf-8")

    def __len__(self) -> int:
        return self.num_users + self.num_items

    @property
    def user(self) -> slice:
        return slice(0, self.num_users)

    @property
    def item(self) -> slice:
        return slice(self.num_users, len(self))

    @property
    def is_user(self) -> np.ndarray:
        """(E,) bool: the side as a column."""
        return np.arange(len(self)) < self.num_users

    def side(self, name: str) -> slice:
        """The rows of "user" or of "item"."""
        return self.user if name == "user" else self.item

    def row(self, side: str, number: int) -> int:
        """Where user `number` (from 0) or item `number` (from 1) stands."""
        start: int = self.side(side).start
        return start + number - FIRST[side]

    def at(self, row: int) -> tuple[str, int]:
        """The side and the number of the entity in a row."""
        side = "user" if row < self.num_users else "item"
        return side, row - self.side(side).start + FIRST[side]
