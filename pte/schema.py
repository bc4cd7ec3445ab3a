"""What the stages hand to one another: frozen dataclasses of numpy arrays and texts, and the one error users see.

Users are indexed 0..U-1 and items 1..N; item 0 is padding, so every item array has N+1 rows and row 0 is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np


class InputError(ValueError):
    """A mistake in what the user gave: says what is wrong, where, and what to type. Printed without a traceback."""


@dataclass(frozen=True)
class Items:
    """The catalogue. Every list has N+1 entries, entry 0 (padding) is "". Unknown text is ""."""

    item_id: list[str]
    title: list[str]
    text: Mapping[str, list[str]]  # further text columns by name: brand, categories, description, ...

    @property
    def num_items(self) -> int:
        """N, the number of items that may be recommended; ids 1..N."""
        return len(self.item_id) - 1


@dataclass(frozen=True)
class Interactions:
    """All events, sorted by user and, within a user, oldest first. M rows."""

    user: np.ndarray  # (M,) int32 in 0..U-1, non-decreasing
    item: np.ndarray  # (M,) int32 in 1..N
    time: np.ndarray  # (M,) int64 Unix seconds, -1 where unknown
    user_id: list[str]  # (U,) external ids
    items: Items
    card: Mapping[str, object]  # counts, hashes, what was dropped and why

    @property
    def num_users(self) -> int:
        return len(self.user_id)

    @property
    def num_items(self) -> int:
        return self.items.num_items

    @cached_property
    def start(self) -> np.ndarray:
        """(U+1,) int64: the rows of user u are start[u]:start[u+1]."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.user, minlength=self.num_users))]).astype(np.int64)


@dataclass(frozen=True)
class Cases:
    """C questions "what comes next?": the target is item[target], the history the rows before it of the same user."""

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


@dataclass(frozen=True)
class View:
    """All a profiler may see: visible training rows and item texts. Held-out rows are not in here at all."""

    user: np.ndarray  # (V,) int32, non-decreasing
    item: np.ndarray  # (V,) int32, oldest first within a user
    num_users: int
    items: Items

    @property
    def num_items(self) -> int:
        return self.items.num_items

    @cached_property
    def start(self) -> np.ndarray:
        """(U+1,) int64: the rows of user u are start[u]:start[u+1]."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.user, minlength=self.num_users))]).astype(np.int64)


def visible_view(interactions: Interactions, split: Split) -> View:
    """The part of the interactions that prompts may be written from."""
    rows = split.visible
    return View(interactions.user[rows], interactions.item[rows], interactions.num_users, interactions.items)


@dataclass(frozen=True)
class Generation:
    """One text that was asked for: the prompt, the raw completion, and the profile read out of it."""

    side: str  # "user" or "item"
    entity: int  # user 0..U-1 or item 1..N
    round: int  # closed-loop round, from 0
    candidate: int  # 0..K-1
    form: str  # which prompt form or template
    temperature: float  # 0 where no sampling took place
    prompt: str  # "" where no prompt was needed (metadata)
    completion: str
    text: str  # the profile
    parsed: bool  # False where the completion was unusable and a fallback stands in


@dataclass(frozen=True)
class Profiles:
    """K candidate texts for every user and item, and every generation that led to them."""

    user: list[list[str]]  # (U, K)
    item: list[list[str]]  # (N+1, K), row 0 is K times ""
    generations: list[Generation]  # all rounds; the last round of each side holds the candidates

    @property
    def num_candidates(self) -> int:
        return len(self.item[0])


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors (float32) of the candidates and of the plain metadata."""

    user: np.ndarray  # (U, K, d)
    item: np.ndarray  # (N+1, K, d), row 0 zeros
    metadata: np.ndarray  # (N+1, d), row 0 zeros: title and text columns, no profile


@dataclass(frozen=True)
class Selection:
    """One vector per entity, and how it came about."""

    user: np.ndarray  # (U, d)
    item: np.ndarray  # (N+1, d), row 0 zeros
    user_choice: np.ndarray  # (U,) int16: chosen candidate, -1 where several are mixed
    item_choice: np.ndarray  # (N+1,) int16; entry 0 is -1
