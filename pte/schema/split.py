"""What an evaluation protocol makes of interactions, and the part of them that prompts may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pte.schema.interactions import Interactions, Items


@dataclass(frozen=True)
class Cases:
    """C evaluation cases: the target is item[target], the history the rows before it of the same user."""

    user: np.ndarray  # (C,) int32
    target: np.ndarray  # (C,) int64, a row of Interactions
    tied: np.ndarray  # (C,) bool: a row beside the target has its time, so which is the target is a convention
    begin: np.ndarray | None = None  # (C,) int64: first row of the history; None: the user's first

    def history_begin(self, interactions: Interactions) -> np.ndarray:
        """(C,) int64: the history of case c is the rows history_begin[c]:target[c]."""
        return interactions.start[self.user] if self.begin is None else self.begin


@dataclass(frozen=True)
class Split:
    """What a protocol makes of M interactions.

    The train rows of a user are consecutive: the oldest ones, or those after the rows a protocol sets aside, or none.
    """

    train: np.ndarray  # (M,) bool
    visible: np.ndarray  # (M,) bool, part of train: what prompts may show; the rest is withheld for the reward
    valid: Cases
    test: Cases
    holdout: np.ndarray | None = None  # (M,) bool, of train, never visible: to combine models by

    @property
    def rest(self) -> np.ndarray:
        """(M,) bool: train rows less those held out."""
        return self.train if self.holdout is None else self.train & ~self.holdout

    def save(self, out: Path) -> None:
        """Write split.npz into the folder `out`."""
        arrays: dict[str, Any] = {"train": self.train, "visible": self.visible}
        if self.holdout is not None:
            arrays["holdout"] = self.holdout
        for name, part in (("valid", self.valid), ("test", self.test)):
            arrays |= {f"{name}_{key}": value for key, value in vars(part).items() if value is not None}
        np.savez(out / "split.npz", **arrays)

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read back what `save` wrote."""
        with np.load(path / "split.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        valid, test = (
            Cases(arrays[f"{part}_user"], arrays[f"{part}_target"], arrays[f"{part}_tied"], arrays.get(f"{part}_begin"))
            for part in ("valid", "test")
        )
        return cls(arrays["train"], arrays["visible"], valid, test, arrays.get("holdout"))


@dataclass(frozen=True)
class View:
    """All a profiler may see: visible training rows and item texts. Held-out rows are not in here at all."""

    user: np.ndarray  # (V,) int32, non-decreasing
    item: np.ndarray  # (V,) int32, oldest first within a user
    num_users: int
    items: Items
    user_id: Sequence[str] = ()  # (U,) external ids, for profiles that come by them
    prefix: View | None = None  # rows before the first target of users without training rows, for their own texts alone

    @property
    def num_items(self) -> int:
        return self.items.num_items

    @cached_property
    def start(self) -> np.ndarray:
        """(U+1,) int64: the rows of user u are start[u]:start[u+1]."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.user, minlength=self.num_users))]).astype(np.int64)

    @cached_property
    def size(self) -> np.ndarray:
        """(U,) int64: how many rows a user's own text may state."""
        return np.diff(self.start) + (0 if self.prefix is None else self.prefix.size)

    def history(self, user: int) -> np.ndarray:
        """The items a user's own text may state, oldest first: visible ones, or those before the first target."""
        own = self.item[self.start[user] : self.start[user + 1]]
        return own if len(own) or self.prefix is None else self.prefix.history(user)


def visible_view(interactions: Interactions, split: Split) -> View:
    """The part of the interactions that prompts may be written from."""
    return _view(interactions, split, split.visible)


def training_view(interactions: Interactions, split: Split) -> View:
    """All training rows but those held out: what texts may state once no reward judges by the rest any more."""
    return _view(interactions, split, split.rest)


def _view(interactions: Interactions, split: Split, rows: np.ndarray) -> View:
    return view_of(interactions, rows, prefix_rows(interactions, split))


def view_of(interactions: Interactions, rows: np.ndarray, prefix: np.ndarray) -> View:
    """The view of these rows, and of others (both (M,) bool) for the texts of their own users."""
    users, items = interactions.num_users, interactions.items
    own = View(interactions.user[prefix], interactions.item[prefix], users, items) if prefix.any() else None
    return View(interactions.user[rows], interactions.item[rows], users, items, interactions.user_id, own)


def prefix_rows(interactions: Interactions, split: Split) -> np.ndarray:
    """(M,) bool: of a user without any training row, the history of the first case; no later target is among it."""
    parts = (split.valid, split.test)
    user, target = (np.concatenate([getattr(part, name) for part in parts]) for name in ("user", "target"))
    begin = np.concatenate([part.history_begin(interactions) for part in parts])
    order = np.lexsort((target, user))
    first = order[np.unique(user[order], return_index=True)[1]]
    cold = np.bincount(interactions.user[split.train], minlength=interactions.num_users) == 0
    first = first[cold[user[first]]]
    edge = np.zeros(len(interactions.user) + 1, np.int64)  # +1 where a history begins, -1 at its target
    np.add.at(edge, begin[first], 1)
    np.add.at(edge, target[first], -1)
    return np.cumsum(edge[:-1]) > 0
