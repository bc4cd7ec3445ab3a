"""What the profile explorer shows of every user and item, as JSON packed into the page block by block.

Users come with history, held-out item and recommendations, items with metadata; both, where the run reads text,
with all candidates, their rewards and which was chosen, texts of earlier rounds, the nearest of their side. The most
frequent entities come first, until the page holds LIMIT bytes of them; how many that were stands on the page.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cached_property
from typing import Any

import numpy as np

from pte.report.run.finished import Finished
from pte.report.shell import packed
from pte.schema import Profiles

BLOCK = 100  # entities unpacked at a time
LIMIT = 8_000_000  # bytes of packed entities
HISTORY = 30  # last items of a history
NEAREST = 8

FORM = """
<form role="search" id="find"><label for="words">Title or id of an item, or id of a user</label><br>
<input id="words" type="search" autocomplete="off" size="40" style="max-width:100%">
<div id="hits" role="listbox" aria-label="found"></div></form>
<div id="entity" aria-live="polite" tabindex="-1"></div>
"""


class Explorer:
    """The entities of one run."""

    def __init__(self, done: Finished) -> None:
        self.done, self.data = done, done.interactions
        cases = done.split.test
        self.case = dict(zip(cases.user.tolist(), range(len(cases.user)), strict=True))  # the last one of each user
        length = np.diff(self.data.start)
        entities = [("user", u, int(length[u])) for u in range(self.data.num_users)]
        entities += [("item", i, int(done.popularity[i])) for i in range(1, self.data.num_items + 1)]
        self.order = sorted(entities, key=lambda entity: -entity[2])

    def elements(self, limit: int = LIMIT) -> list[str]:
        """The form, the index of titles and ids, the blocks; explorer.js, at the page's end, reads them."""
        blocks: list[str] = []
        size = count = 0
        for begin in range(0, len(self.order), BLOCK):
            rows = [self.entity(side, number) for side, number, _ in self.order[begin : begin + BLOCK]]
            block = packed(f"block-{len(blocks)}", json.dumps(rows, ensure_ascii=False))
            if blocks and size + len(block) > limit:
                break
            blocks.append(block)
            size, count = size + len(block), begin + len(rows)
        index = {
            "block": BLOCK,
            "entities": [[side, number] for side, number, _ in self.order[:count]],
            "title": [
                title or name for title, name in zip(self.data.items.title, self.data.items.item_id, strict=True)
            ],
            "item_id": self.data.items.item_id,
            "user_id": self.data.user_id,
            "count": self.done.popularity.tolist(),
        }
        sentence = f"{count:,} of {len(self.order):,} users and items are here"
        sentence += ", the most frequent ones." if count < len(self.order) else "."
        return [
            f'<p class="soft">{sentence}</p>{FORM}',
            packed("index", json.dumps(index, ensure_ascii=False)),
            *blocks,
        ]

    def entity(self, side: str, number: int) -> dict[str, Any]:
        """All that is shown of one."""
        about = self._user(number) if side == "user" else self._item(number)
        if self.done.selection is not None:
            about |= self._texts(side, number)
            about["nearest"] = self.nearest[side][number] if side in self.nearest else []
        return about

    def _user(self, user: int) -> dict[str, Any]:
        case = self.case.get(user)
        if case is None:
            return {"history": self.data.item[self.data.start[user] : self.data.start[user + 1]][-HISTORY:].tolist()}
        begin, end = (int(rows[case]) for rows in self.done.history)
        rank = int(self.done.ranked.rank["masked"][case])
        return {
            "history": self.data.item[begin:end][-HISTORY:].tolist(),
            "length": end - begin,
            "target": int(self.data.item[end]),
            "rank": rank + 1 if rank < self.data.num_items else None,
            "list": [item for item in self.done.lists[case].tolist() if item],
        }

    def _item(self, item: int) -> dict[str, Any]:
        return {"text": {name: column[item] for name, column in self.data.items.text.items() if column[item]}}

    def _texts(self, side: str, number: int) -> dict[str, Any]:
        assert self.done.selection is not None
        row = self.done.selection.entities.row(side, number)
        choice = int(self.done.selection.choice[row])
        texts = (self.profiles.user if side == "user" else self.profiles.item)[number]
        reward = {
            name: [None if np.isnan(x) else round(float(x), 3) for x in table[row]]
            for name, table in self.reward.items()
            if table.ndim == 2
        }
        earlier = [text for text in self.earlier[side, number, max(choice, 0)] if text]
        return {"chosen": choice, "candidates": texts, "reward": reward, "earlier": earlier}

    @cached_property
    def profiles(self) -> Profiles:
        return Profiles.load(self.done.artefact["profiles"])

    @cached_property
    def reward(self) -> dict[str, np.ndarray]:
        """The parts of the reward, NaN where unknown, and the probability of being chosen."""
        with np.load(self.done.artefact["selection"] / "reward.npz", allow_pickle=False) as file:
            tables = {name: file[name] for name in file.files}
        for name, known in tables.items():
            if name.endswith("_known") and (table := tables[name.removesuffix("_known")]).ndim == 2:
                table[~known] = np.nan
        return tables

    @cached_property
    def earlier(self) -> dict[tuple[str, int, int], list[str]]:
        """Texts of a candidate's place in all rounds but the last, oldest first."""
        last: dict[str, int] = defaultdict(int)
        for g in self.profiles.generations:
            last[g.side] = max(last[g.side], g.round)
        lists: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        for g in sorted(self.profiles.generations, key=lambda g: g.round):
            if g.round < last[g.side]:
                lists[g.side, g.entity, g.candidate].append(g.text)
        return lists

    @cached_property
    def nearest(self) -> dict[str, list[list[int]]]:
        """By side, the entities whose vectors have the highest cosine, best first; sides without vectors left out."""
        assert self.done.selection is not None
        item, user = (self.done.selection.side(side) for side in ("item", "user"))
        lists = {"item": [[], *([1 + place for place in row] for row in nearest(item))]}
        return lists | ({"user": nearest(user)} if user.any() else {})


def nearest(vectors: np.ndarray, k: int = NEAREST) -> list[list[int]]:
    """For every row of (n, d) the k other rows of the highest cosine; rows of zeros are nobody's and have none."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(size == 0, 1, size)).astype(np.float32)
    empty, lists = size[:, 0] == 0, []
    for begin in range(0, len(unit), 1024):
        cosine = unit[begin : begin + 1024] @ unit.T
        cosine[:, empty] = -np.inf
        rows = np.arange(len(cosine))
        cosine[rows, begin + rows] = -np.inf
        best = np.argpartition(-cosine, min(k, len(unit) - 1), axis=1)[:, :k]
        order = np.take_along_axis(best, np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable"), 1)
        good = np.isfinite(np.take_along_axis(cosine, order, 1))
        lists += [
            row[there].tolist() if not none else []
            for row, there, none in zip(order, good, empty[begin:], strict=False)
        ]
    return lists
