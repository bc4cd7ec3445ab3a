"""From a publisher's records to the tables that `table.build` takes: 16 bytes a row, and every id's text once.

In this order: low ratings out, repeats of one user and one item out, then whatever is outside the k-core. The last only
saves work: `table.build` takes the k-core after its own rules, and that lies inside the one taken here, since a part's
core lies in the whole's. So only items that can stay are looked up in the metadata.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.artifact import file_sha256
from pte.dataset.reader.record import locate
from pte.dataset.rules import Rules
from pte.dataset.table.build import Source, build
from pte.dataset.table.card import row_losses
from pte.dataset.table.filter import k_core
from pte.schema import InputError, Interactions, one_of


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which of a publisher's rows count as interactions, and in which order."""

    min_rating: float | None = None  # rows rated lower are left out; None: every rating is an interaction
    repeats: str = "keep"  # keep | first | last: of several rows of one user about one item
    ties: str = "file"  # file | item_id: the order of a user's rows with equal times

    def __post_init__(self) -> None:
        for name, allowed in {"repeats": ("keep", "first", "last"), "ties": ("file", "item_id")}.items():
            one_of(f"dataset.choice.{name}", getattr(self, name), allowed)


class Column:
    """Text values as they arrive: each distinct one once, and 4 bytes a row."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self._rows = array("i")

    def append(self, value: str) -> None:
        self._rows.append(self._code.setdefault(value, len(self._code)))

    def codes(self) -> CodedColumn:
        return CodedColumn(list(self._code), np.array(self._rows, np.int32))


@dataclass(frozen=True)
class CodedColumn:
    """A text column as its distinct values and, per row, which of them."""

    values: list[str]
    code: np.ndarray  # (M,) int32

    def text(self, rows: np.ndarray) -> pl.Series:
        return pl.Series(self.values, dtype=pl.String).gather(self.code[rows])


class Events:
    """Collects (user, item, time); `unit` times make a second."""

    def __init__(self, choice: Choice, *, unit: int = 1) -> None:
        self.choice, self.unit = choice, unit
        self._user, self._item, self._time = Column(), Column(), array("q")
        self._low = 0

    def append(self, user: str, item: str, time: int, rating: float) -> None:
        if self.choice.min_rating is not None and rating < self.choice.min_rating:
            self._low += 1
            return
        self._user.append(user)
        self._item.append(item)
        self._time.append(time)

    def table(self, k: int, counts: dict[str, int]) -> pl.DataFrame:
        """What `table.build` takes: row, user_id, item_id, position (null), time, bad; rows in the order of ties."""
        user, item, time = self._user.codes(), self._item.codes(), np.array(self._time, np.int64)
        self._user, self._item, self._time = Column(), Column(), array("q")  # the memory is needed below
        return select_rows(user, item, time, self.choice, k=k, unit=self.unit, low=self._low, counts=counts)


def select_rows(
    user: CodedColumn,
    item: CodedColumn,
    time: np.ndarray,
    choice: Choice,
    *,
    k: int,
    unit: int,
    low: int,
    counts: dict[str, int],
) -> pl.DataFrame:
    """The rows that count, ordered by time in full resolution and by `choice.ties`, as `table.build` takes them."""
    if choice.min_rating is not None:
        counts[f"rows rated below {choice.min_rating:g} left out"] = low
    if len(time) == 0:
        raise InputError(
            "no interaction is left: the file has no row, or every one is rated below dataset.choice.min_rating or out"
            " of range"
        )
    rows = np.argsort(time, kind="stable") if choice.ties == "file" else _by_item(item, time)
    if choice.repeats != "keep":
        rows = without_repeats(user.code, item.code, rows, keep=choice.repeats)
        counts[f"repeats of one user about one item left out ({choice.repeats} kept)"] = len(time) - len(rows)
    if k > 1:
        inside = k_core(user.code[rows], item.code[rows], k)
        counts[f"rows outside the {k}-core dropped"] = int((~inside).sum())
        rows = rows[inside]
        if len(rows) == 0:
            raise InputError(f"no interaction is left in the {k}-core: lower dataset.rules.k_core")
    return pl.DataFrame(
        {"user_id": user.text(rows), "item_id": item.text(rows), "time": time[rows] // unit}
    ).select(
        pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("row"),
        "user_id",
        "item_id",
        position=pl.lit(None, pl.Int64),
        time="time",
        bad=pl.lit(False),
    )  # fmt: skip


def core(rules: Rules, expect: Mapping[str, int] | None) -> int:
    """The k to take before `table.build`: none where published counts are checked, which are of the whole file."""
    return rules.k_core if expect is None else 1


def _by_item(item: CodedColumn, time: np.ndarray) -> np.ndarray:
    """Rows by time, then by item id, then as in the file."""
    rank = np.empty(len(item.values), np.int64)
    rank[np.argsort(np.array(item.values, dtype=object), kind="stable")] = np.arange(len(item.values))
    return np.lexsort((rank[item.code], time))


def without_repeats(user: np.ndarray, item: np.ndarray, rows: np.ndarray, *, keep: str) -> np.ndarray:
    """Of `rows`, in their order, those that are the first (or the last) of their user and item."""
    pair = user[rows].astype(np.int64) * (int(item.max()) + 1) + item[rows]
    if keep == "last":
        return rows[np.sort(len(rows) - 1 - np.unique(pair[::-1], return_index=True)[1])]
    return rows[np.sort(np.unique(pair, return_index=True)[1])]


def items_table(rows: Mapping[str, list[str]], texts: tuple[str, ...]) -> pl.DataFrame:
    """item id -> [title, *texts], as `table.build` takes it."""
    columns = list(zip(*rows.values(), strict=True))
    table = {"item_id": list(rows), **dict(zip(("title", *texts), columns, strict=True))}
    return pl.DataFrame(table, schema=dict.fromkeys(table, pl.String)).with_row_index("row", offset=1)


class Release:
    """A data set as its publisher releases it. The constructor sets name, licence, expect and rules."""

    name: str
    licence: str
    expect: Mapping[str, int] | None
    rules: Rules

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the files by role."""
        raise NotImplementedError

    def _built(self, rows: pl.DataFrame, items: pl.DataFrame, counts: Mapping[str, int]) -> Interactions:
        source = Source(name=self.name, licence=self.licence, sha256=self.fingerprint(), expect=self.expect)
        return with_counts(build(rows, items, rules=self.rules, source=source), counts)


class ReviewRelease(Release):
    """A release of two files of records: reviews, which `_rows` reads, and the items they are about, by `_items`.

    places: a path or URI by role, reviews first; search: further keywords of `locate` by role.
    """

    data: str | None
    folder: str
    places: Mapping[str, str | None]
    search: Mapping[str, Mapping[str, Any]]

    def paths(self) -> dict[str, Path]:
        """The two files by role, fetched if need be."""
        return {
            role: locate(place, knob=role, data=self.data, folder=self.folder, **self.search[role])
            for role, place in self.places.items()
        }

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the two files."""
        return {role: file_sha256(path) for role, path in self.paths().items()}

    def read(self) -> Interactions:
        """The data set as Interactions; the card counts what this reader left out too."""
        counts: dict[str, int] = {}
        reviews, about = self.paths().values()
        rows = self._rows(reviews, counts)
        catalogue = None if self.rules.unseen_items == "keep" else set(rows["item_id"].unique().to_list())
        return self._built(rows, self._items(about, catalogue, counts), counts)

    def _rows(self, path: Path, counts: dict[str, int]) -> pl.DataFrame:
        """The reviews that count as interactions, as `Events.table`."""
        raise NotImplementedError

    def _items(self, path: Path, catalogue: set[str] | None, counts: dict[str, int]) -> pl.DataFrame:
        """The texts of the items of the catalogue (None: of all), as `items_table`."""
        raise NotImplementedError


def with_counts(interactions: Interactions, counts: Mapping[str, int]) -> Interactions:
    """The counts of a reader before those of the table's rules; a rule that both applied is counted once, summed."""
    later: Mapping[str, int] = interactions.card["counted"]  # type: ignore[assignment]
    both = {name: counts.get(name, 0) + later.get(name, 0) for name in (*counts, *later)}
    rows: int = interactions.card["rows_in_file"]  # type: ignore[assignment]
    return replace(interactions, card={**interactions.card, "counted": both, "rows_in_file": rows + row_losses(counts)})
