"""A user's own tables: interactions and items as CSV, TSV or Parquet, with the columns' names in the config.

Guessed are the unit of numeric times, which their size shows (`dataset.time_format` states it), the way quotes are
escaped (`dataset.quoting`), and which further columns of the items table are text (`dataset.text`); the card says what
was taken. The order within a user is `position` where given, else `timestamp`; ties keep the order of the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from pte.asset import fetch
from pte.asset.cache import checksum
from pte.dataset.reader.delimited import Form, Table
from pte.dataset.reader.moment import time_format, units_mixed
from pte.dataset.reader.source import interaction_rows, item_rows, read_frame, require, suffix, text
from pte.dataset.rules import Rules
from pte.dataset.table.build import build_read
from pte.dataset.table.column import text_columns
from pte.schema import InputError, Interactions, Resolved, typed


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns' names, and how the files are written; every field is a knob `dataset.NAME`."""

    user_id: str = "user_id"
    item_id: str = "item_id"
    timestamp: str | None = "timestamp"
    position: str | None = None
    rating: str | None = None  # read where min_rating is given
    item_key: str = "item_id"
    title: str = "title"
    text: Sequence[str] | str | None = None  # None: the columns that `column.text_columns` takes for text
    time_format: str | None = None  # a unit or a strptime format; None: inferred from the values
    separator: str | None = None  # of text files; None: by the suffix
    quoting: str = "auto"  # auto | double | backslash | none
    min_rating: float | None = None  # rows rated lower are no interactions; None: every row is one

    def __post_init__(self) -> None:
        if not self.timestamp and not self.position:
            raise InputError("dataset=custom needs an order: type dataset.timestamp=COLUMN or dataset.position=COLUMN")
        for knob in ("user_id", "item_id", "timestamp", "position", "rating", "item_key", "title"):
            name, may_lack = getattr(self, knob), knob in ("timestamp", "position", "rating")
            if isinstance(name, bool | list | Mapping) or (name is None and not may_lack):
                raise InputError(f"dataset.{knob}={typed(name)}: give the name of a column")
            if name is not None:  # a column may be called 5
                object.__setattr__(self, knob, str(name))
        if isinstance(self.text, bool | Mapping) or (isinstance(self.text, list) and None in self.text):
            raise InputError(
                f"dataset.text={typed(self.text)}: give names of columns, as dataset.text=[brand,categories]"
            )
        role: dict[str, str] = {}  # of the interactions' columns
        for knob in ("user_id", "item_id", "timestamp", "position", "rating"):
            if (name := getattr(self, knob)) in role:
                raise InputError(
                    f"dataset.{knob}={name}: dataset.{role[name]} names the same column; give each a column of its own"
                )
            if name is not None:
                role[name] = knob
        number = isinstance(self.min_rating, int | float) and not isinstance(self.min_rating, bool)
        if self.min_rating is not None and not (number and math.isfinite(self.min_rating)):
            raise InputError(f"dataset.min_rating={self.min_rating}: give a number, or null to take every row")
        if self.min_rating is not None and not self.rating:
            raise InputError(f"dataset.min_rating={self.min_rating} needs the column of ratings: dataset.rating=COLUMN")
        time_format(self.time_format)

    @property
    def form(self) -> Form:
        """How text tables are written."""
        return Form(separator=self.separator, quoting=self.quoting, configurable=True)

    @property
    def texts(self) -> list[str] | None:
        """The text columns requested; a single name is a list of one."""
        if self.text is None:
            return None
        return list(dict.fromkeys([self.text] if isinstance(self.text, str) else map(str, self.text)))

    @property
    def order(self) -> dict[str, str]:
        """The columns that order a user's rows, by their knobs."""
        named = {"timestamp": self.timestamp, "position": self.position}
        return {knob: name for knob, name in named.items() if name}


class Custom:
    """Two tables: interactions (user, item, time or position) and items (item, title, any further text)."""

    def __init__(
        self,
        *,
        name: str,
        licence: str,
        interactions: Resolved[str | None],
        items: Resolved[str | None],
        rules: Rules,
        **columns: Any,
    ) -> None:
        for knob, value in (("interactions", interactions), ("items", items)):
            if not value:
                raise InputError(
                    f"dataset=custom needs two tables (.csv .tsv .parquet): type dataset.interactions=PATH"
                    f" dataset.items=PATH (dataset.{knob} is missing)"
                )
        self.name, self.licence, self.rules = name, licence, rules
        self.places = {"interactions": str(interactions), "items": str(items)}
        self.columns = Columns(**columns)
        self.form = self.columns.form  # a wrong knob is refused before a file is touched

    def paths(self) -> dict[str, Path]:
        """The two files by role. InputError: a folder, or a file that may not be read."""
        paths = {role: _fetched(role, place) for role, place in self.places.items()}
        for role, path in paths.items():
            if path.is_dir():
                inside = sorted(entry.name for entry in path.iterdir() if entry.is_file())
                example = f", such as dataset.{role}={path / inside[0]}" if inside else ""
                raise InputError(f"dataset.{role}={path} is a folder: name the file inside it{example}")
            if not os.access(path, os.R_OK):
                raise InputError(f"dataset.{role}={path} may not be read: its permissions forbid it")
        return paths

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the two files, by role and by the suffix that decides how they are read; not by where they lie."""
        return {role + suffix(path): checksum(path) for role, path in self.paths().items()}

    def read(self) -> Interactions:
        """The data set as Interactions."""
        columns = self.columns
        required = {"user_id": columns.user_id, "item_id": columns.item_id, **columns.order}
        if columns.min_rating is not None:
            required["rating"] = str(columns.rating)
        events = self._table("interactions", [required])
        texts = [{"text": name} for name in columns.texts or ()]
        items = self._table("items", [{"item_key": columns.item_key, "title": columns.title}, *texts])
        given = self.form.characters
        if given is not None and given not in (used := [table.separator for table in (events, items)]) and any(used):
            raise InputError(
                f"dataset.separator={columns.separator}: neither table's header holds it; leave this knob out"
            )
        names, omitted = text_columns(items, item_key=columns.item_key, title=columns.title, names=columns.texts)
        return build_read(
            events,
            self._rows(events),
            items,
            item_rows(items.frame, item_id=columns.item_key, title=columns.title, columns=names),
            rules=self.rules,
            name=self.name,
            licence=self.licence,
            sha256=self.fingerprint(),
            min_rating=columns.min_rating,
            omitted=omitted,
            notes=self._notes(events, items),
        )

    def _table(self, role: str, required: Sequence[Mapping[str, str]]) -> Table:
        """A file with the columns it must have, or a refusal that begins with the knob."""
        path = self.paths()[role]
        try:
            table = read_frame(path, self.form)
            if suffix(path).startswith((".inter", ".item")):  # atomic files of RecBole
                table = _without_types(table, {name for columns in required for name in columns.values()})
            for columns in required:
                require(table, columns, path, configurable=True)
            if table.frame.is_empty() and not table.ragged:
                raise InputError(f"{path} has a header and no row: give the whole file")
        except InputError as error:
            raise InputError(f"dataset.{role}={error}" if str(error).startswith(str(path)) else str(error)) from None
        return table

    def _rows(self, events: Table) -> pl.DataFrame:
        """What `build` takes; with a column rating where a least one is requested."""
        columns = self.columns
        rows = interaction_rows(
            events.frame,
            user_id=columns.user_id,
            item_id=columns.item_id,
            position=columns.position,
            timestamp=columns.timestamp,
            time_format=time_format(columns.time_format),
        )
        if columns.min_rating is not None:
            written = text(events.frame, str(columns.rating))
            rating = written.cast(pl.Float64, strict=False).fill_nan(None)
            why = pl.when(rows["bad"] | rating.is_not_null()).then(rows["why"])
            words = f"no number in {columns.rating}: '" + written.fill_null("").str.slice(0, 40) + "'"
            rows = rows.with_columns(why.otherwise(words).alias("why"), rating=rating)
            rows = rows.with_columns(bad=pl.col("why").is_not_null())
        return rows

    def _notes(self, events: Table, items: Table) -> dict[str, int]:
        """What was mended while the files were read; no row is lost by it."""
        columns, notes = self.columns, {"lines inside quoted fields": events.inner_lines + items.inner_lines}
        for name, table in (("interaction", events), ("item", items)):
            notes[f"{name} lines with fewer fields than the header, the rest taken as empty"] = len(table.short)
            notes[f"{name} lines above the header, comments or sep="] = table.above
        if columns.timestamp and columns.time_format is None:
            mixed = units_mixed(events.frame[columns.timestamp])
            notes["times in another unit than most, each read in its own"] = mixed
        return notes


def _without_types(table: Table, named: set[str]) -> Table:
    """The columns `user_id:token` as user_id, where a knob does not name them as they stand."""
    columns = table.frame.columns
    plain = [name if name in named else name.partition(":")[0] for name in columns]
    unique = [new if plain.count(new) == 1 else name for name, new in zip(columns, plain, strict=True)]
    return replace(table, frame=table.frame.rename(dict(zip(columns, unique, strict=True))))


def _fetched(role: str, place: str) -> Path:
    """The local file, or a refusal that begins with the knob."""
    try:
        return fetch(place)
    except InputError as error:
        raise InputError(f"dataset.{role}={error}") from None
