"""The rules that turn raw tables into a data set, as one object: what is refused, dropped, mended or cut."""

from __future__ import annotations

from dataclasses import dataclass

from pte.schema import InputError, one_of, require


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What of the raw tables becomes the data set. The defaults take everything that is well formed."""

    malformed: str = "error"  # error | drop
    unknown_item: str = "error"  # error | drop | placeholder: an interaction with an item the item table lacks
    untitled: str = "placeholder"  # placeholder | drop | error: the placeholder is the item's other text
    unseen_items: str = "drop"  # drop | keep: catalogue entries without any interaction
    k_core: int = 1  # iterated: every user and every item has at least this many interactions
    min_length: int = 1  # users with fewer interactions are dropped
    max_items: int | None = None  # the cut: the most interacted items ...
    max_users: int | None = None  # ... then a seeded choice among the users
    cut_length: int = 5  # with at least this many interactions left
    cut_seed: int = 0

    def __post_init__(self) -> None:
        allowed = {
            "malformed": ("error", "drop"),
            "unknown_item": ("error", "drop", "placeholder"),
            "untitled": ("placeholder", "drop", "error"),
            "unseen_items": ("drop", "keep"),
        }
        for name, values in allowed.items():
            one_of(f"dataset.rules.{name}", getattr(self, name), values)
        for name in ("k_core", "min_length", "cut_length", "max_items", "max_users"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"dataset.rules.{name}", value, "must be at least 1")
        if self.unseen_items == "keep" and (self.k_core > 1 or self.max_items or self.max_users):
            raise InputError("dataset.rules.unseen_items=keep contradicts k_core, max_items and max_users; give up one")
