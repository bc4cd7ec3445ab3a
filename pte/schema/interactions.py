"""Events and the catalogue. Users are indexed 0..U-1 and items 1..N; item 0 is padding, so that every item array has
N+1 rows and row 0 is empty.
"""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pte.schema.error import InputError


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

    def titled(self, words: str) -> list[int]:
        """The items of this title, whatever its case; where there is none, those whose title contains the words."""
        query = words.casefold().strip()
        titles = {item: title.casefold() for item, title in enumerate(self.title) if item and query}
        whole = [item for item, title in titles.items() if title == query]
        return whole or [item for item, title in titles.items() if query in title]

    def find(self, words: str) -> int:
        """The one item of this id or title, or whose title contains the words; InputError where none or several do."""
        if words in self.item_id[1:]:
            return self.item_id.index(words, 1)
        matches = self.titled(words)
        if len(matches) == 1:
            return matches[0]
        if matches:
            some = "; ".join(f"{self.title[i]} (id {self.item_id[i]})" for i in matches[:5])
            raise InputError(f"{len(matches):,} items are called {words}: type an id, of such as {some}")
        near = difflib.get_close_matches(words, self.title[1:], 3, 0.3)
        hint = f". Near: {'; '.join(near)}" if near else f"; ids look like {', '.join(self.item_id[1:4])}"
        raise InputError(f"no item is called {words}{hint}")


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

    def find_user(self, name: str) -> int:
        """The user of this id; InputError where there is none."""
        if name not in self.user_id:
            near = difflib.get_close_matches(name, self.user_id, 3, 0.0)
            raise InputError(f"no user has the id {name}; ids look like {', '.join(near)}")
        return self.user_id.index(name)

    @cached_property
    def start(self) -> np.ndarray:
        """(U+1,) int64: the rows of user u are start[u]:start[u+1]."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.user, minlength=self.num_users))]).astype(np.int64)

    def save(self, out: Path) -> None:
        """Write arrays.npz, user_id.json, items.jsonl.gz and card.json into the folder `out`."""
        np.savez(out / "arrays.npz", user=self.user, item=self.item, time=self.time)
        (out / "user_id.json").write_text(json.dumps(self.user_id, ensure_ascii=False), encoding="utf-8")
        (out / "card.json").write_text(json.dumps(self.card, indent=1, ensure_ascii=False), encoding="utf-8")
        with gzip.open(out / "items.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as file:
            file.write(json.dumps(list(self.items.text)) + "\n")
            for row in zip(self.items.item_id, self.items.title, *self.items.text.values(), strict=True):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Interactions:
        """Read back what `save` wrote."""
        with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
            user, item, time = arrays["user"], arrays["item"], arrays["time"]
        with gzip.open(path / "items.jsonl.gz", "rt", encoding="utf-8") as file:
            names, *rows = (json.loads(line) for line in file)
        item_id, title, *text = (list(column) for column in zip(*rows, strict=True))
        return cls(
            user=user,
            item=item,
            time=time,
            user_id=json.loads((path / "user_id.json").read_text(encoding="utf-8")),
            items=Items(item_id, title, dict(zip(names, text, strict=True))),
            card=json.loads((path / "card.json").read_text(encoding="utf-8")),
        )
