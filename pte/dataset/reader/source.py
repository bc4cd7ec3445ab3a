"""Files -> string tables -> typed columns. What is missing, ragged or unreadable is an InputError, never a guess."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from zoneinfo import available_timezones

import numpy as np
import polars as pl

from pte.dataset.reader.content import file_bytes, refuse_other
from pte.dataset.reader.delimited import NAMES, Form, Table, read_delimited
from pte.dataset.reader.moment import microseconds
from pte.schema import InputError
from pte.schema.error import first_line

SEPARATORS = {".csv": ",", ".tsv": "\t", ".inter": "\t", ".item": "\t"}
EXACT: dict[pl.DataType | type[pl.DataType], int] = {
    pl.Float16: 2**11,
    pl.Float32: 2**24,
    pl.Float64: 2**53,
}  # floats tell whole numbers apart up to here
NONE = (
    "nan",
    "null",
    "none",
    "nil",
    "nat",
    "<na>",
    "n/a",
    "#n/a",
    "(null)",
    "\\n",
    "undefined",
)  # as programs write it
OWN_COLUMNS = ("row", "item", "item_id", "title", "placeholder")  # of the items table, while it is read


def suffix(path: Path) -> str:
    """What decides how a file is read: ".csv", ".tsv.gz", ".parquet", ..."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def read_frame(path: Path, form: Form | None = None) -> Table:
    """A table as read: CSV and its like all text, empty = null; Parquet with its own types.

    InputError: no such file, another format than the suffix says, or text that can be read in two ways.
    """
    form = form or Form()
    kind = suffix(path).removesuffix(".gz")
    if kind == ".parquet":
        return _read_parquet(path)
    if kind not in SEPARATORS and form.characters is None:
        refuse_other(path, file_bytes(path))
        raise InputError(
            f"{path}: do not know how to read {kind or 'a file without suffix'}; use .csv .tsv (.gz) .parquet"
            + (", or name the separator of a text file: dataset.separator=comma" if form.configurable else "")
        )
    return read_delimited(path, SEPARATORS.get(kind, ""), form)


def _read_parquet(path: Path) -> Table:
    if not path.is_file():
        raise InputError(
            f"{path} is a folder; name the file inside it" if path.is_dir() else f"there is no file {path}"
        )
    try:
        os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")  # +05:30 is a zone that Parquet may hold
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(
            f"{path} cannot be read as .parquet: {first_line(error)}. Write it again, or write it as .csv"
        ) from None
    frame = frame.with_columns(_in_utc(column) for column in frame if isinstance(column.dtype, pl.Datetime))
    return Table(frame=frame, row=np.arange(1, len(frame) + 1))


def _in_utc(moments: pl.Series) -> pl.Series:
    """Moments whose zone polars does not know, such as +05:30, in UTC, which is what their numbers count in."""
    kind = moments.dtype
    if not isinstance(kind, pl.Datetime) or kind.time_zone in (None, *available_timezones()):
        return moments
    return moments.to_physical().cast(pl.Datetime(kind.time_unit, "UTC"))


def read_whole(path: Path, required: Sequence[str]) -> Table:
    """A table that must have these columns, and no row with more fields than its header: such a row is refused."""
    table = read_frame(path)
    require(table, {column: column for column in required}, path)
    if table.ragged:
        raise InputError(
            f"{path}: {len(table.ragged):,} row(s) have more fields than the header, the first on line"
            f" {table.ragged[0][1]:,}: put fields that hold a separator in quotes"
        )
    return table


def require(table: Table, required: Mapping[str, str], path: Path, *, configurable: bool = False) -> None:
    """Every wanted column must be in the table, once. configurable: the mapping's keys are the knobs that name them."""
    columns, text_file = table.frame.columns, suffix(path) != ".parquet"
    for knob, column in required.items():
        if column in table.repeated:
            raise InputError(f"{path} names the column {column!r} more than once: rename or remove all but one")
        if column in columns:
            continue
        near = [name for name in columns if _letters(name) == _letters(column) and re.fullmatch(r"[\w.]+", name)]
        other = near[0] if near else "COLUMN"
        if knob == "text":
            other = f"[{','.join(name for name in columns if name)[:60]}]"
        advice = f" Name the right one: dataset.{knob}={other}" if configurable else ""
        if configurable and knob == "timestamp":
            advice += ", or dataset.timestamp=null dataset.position=COLUMN"
        hint = _hint(columns, configurable) if text_file else ""
        raise InputError(f"{path} has no column {column!r}. It has: {_first_names(columns)}.{advice}{hint}")


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _first_names(columns: Sequence[str]) -> str:
    """The first columns' names, shortened: a file without line ends has its whole text for a header."""
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in columns[:20]]
    return ", ".join(names) + (f", ... ({len(columns):,} columns)" if len(columns) > 20 else "")


def _hint(columns: Sequence[str], configurable: bool) -> str:
    """Advice where another separator parts the header, or there is none."""
    first = columns[0] if columns else ""
    separator = next((name for name in ("semicolon", "tab", "pipe") if NAMES[name] in first), "")
    if columns and sum(bool(re.fullmatch(r"-?\d+(\.\d+)?", name)) for name in columns) >= len(columns) / 2:
        return ". Is its header row missing? Then write one above the data"
    if separator and configurable:
        return f" Are its fields separated by {NAMES[separator]!r}? Then type dataset.separator={separator}"
    return ""


def ids(frame: pl.DataFrame, column: str) -> pl.Series:
    """A column of ids as text, null where empty or blank. InputError: lists, as of a basket, and rounded numbers."""
    kind = frame[column].dtype
    if isinstance(kind, pl.List | pl.Array):
        raise InputError(f"column {column!r} holds {kind}: write a row for each id, not a list of them")
    values = frame[column]
    rounded = values.filter(values.is_finite() & (values.abs() > EXACT[kind])) if kind in EXACT else values.head(0)
    if len(rounded):
        raise InputError(
            f"column {column!r} holds ids as {kind}, which rounds numbers as large as {rounded[0]:.0f}, so that several"
            " ids become one: write them as whole numbers or text"
        )
    values = text(frame, column)
    return values.set((values.str.strip_chars() == "").fill_null(False), None)


def normalized(values: pl.Series) -> pl.Series:
    """Ids without what people do not see: blanks around, zero-width characters, Unicode's two forms, the .0 of 1.0."""
    visible = values.str.replace_all("[\u200b\u200c\u200d\u2060\ufeff\0]", "").str.strip_chars().str.normalize("NFC")
    return visible.str.replace(r"^(\d+)\.0$", "$1")


def reads_as_none(values: pl.Series) -> pl.Series:
    """(n,) bool: texts that are how a program writes that there is none."""
    return values.str.strip_chars().str.to_lowercase().is_in(NONE)


def text(frame: pl.DataFrame, column: str) -> pl.Series:
    """A column as text, null where empty; a list as its parts with commas; of numbers, infinity and NaN are empty."""
    values = frame[column]
    try:
        if isinstance(values.dtype, pl.Struct) or getattr(values.dtype, "inner", pl.String()).is_nested():
            raise pl.exceptions.InvalidOperationError
        if values.dtype.is_decimal():  # digit by digit: a float would make ids of 17 digits one
            return values.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.strip_chars_end(".")
        if values.dtype.is_float():
            return _number_text(values)
        if isinstance(values.dtype, pl.List | pl.Array):
            values = values.cast(pl.List(pl.String)).list.join(", ", ignore_nulls=True)
        return values.cast(pl.String).replace("", None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise InputError(
            f"column {column!r} holds {values.dtype}, which is no text: write it as text, or leave it out where it is"
            " text of items (dataset.text=[COLUMN,...])"
        ) from None


def _number_text(values: pl.Series) -> pl.Series:
    """Floats as text: 1.0 is the id "1", as long as a float tells whole numbers apart (2^53)."""
    finite = values.cast(pl.Float64).set(~values.is_finite().fill_null(False), None)
    whole = finite.set(((finite != finite.floor()) | (finite.abs() >= 2.0**53)).fill_null(True), None)
    return whole.cast(pl.Int64).cast(pl.String).fill_null(finite.cast(pl.String))


def interaction_rows(
    frame: pl.DataFrame,
    *,
    user_id: str,
    item_id: str,
    position: str | None,
    timestamp: str | None,
    time_format: str | None = None,
) -> pl.DataFrame:
    """Columns row, user_id, item_id, position, time, bad (an empty id, or no readable place in the order), and why.

    Without a column of positions the time is the place in the order, to the microsecond.
    """
    user, item = ids(frame, user_id), ids(frame, item_id)
    place = _places(text(frame, position)) if position else None
    moment = (
        microseconds(frame[timestamp], time_format) if timestamp else pl.Series([None] * len(frame), dtype=pl.Int64)
    )
    present = text(frame, timestamp).is_not_null() if timestamp else None
    time = moment // 1_000_000
    faults: list[tuple[pl.Series, str, pl.Series | None]]
    faults = [(user.is_null(), f"no {user_id}", None), (item.is_null(), f"no {item_id}", None)]
    if position and place is not None:
        faults.append((place.is_null(), f"no whole number in {position}", text(frame, position)))
    if timestamp and present is not None:
        unread = time.is_null() & (present if position else True)
        under = f" under dataset.time_format={time_format}" if time_format else ""
        faults.append((unread, f"no readable time in {timestamp}{under}", text(frame, timestamp)))
    columns = {"user_id": user, "item_id": item, "position": place if place is not None else moment, "time": time}
    why = _why(faults)
    return pl.DataFrame({**columns, "bad": why.is_not_null(), "why": why}).with_row_index("row", offset=1)


def _why(faults: Sequence[tuple[pl.Series, str, pl.Series | None]]) -> pl.Series:
    """The first fault of each row in words, with the value where there is one; null where the row has none.

    faults: (rows that have it, what it is, the values it is about).
    """
    why = pl.Series([None] * len(faults[0][0]), dtype=pl.String)
    for rows, words, values in faults:
        if rows.any():
            excerpt = values.fill_null("").str.slice(0, 40) if values is not None else pl.Series([""] * len(rows))
            fault = pl.when(excerpt != "").then(words + ": '" + pl.lit(excerpt) + "'").otherwise(pl.lit(words))
            why = why.fill_null(pl.select(fault).to_series().set(~rows, None))
    return why


def with_places(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows with their numbers in the file, and the lines they begin on where it is a text file."""
    rows = rows.with_columns(row=pl.Series(table.row, dtype=pl.UInt32))
    return rows if table.line is None else rows.with_columns(line=pl.Series(table.line, dtype=pl.UInt32))


def _places(values: pl.Series) -> pl.Series:
    """Whole numbers as Int64, also 3.0 for 3; null where there is none."""
    numbers = values.cast(pl.Float64, strict=False)
    whole = numbers.set((numbers != numbers.floor()).fill_null(True), None).cast(pl.Int64, strict=False)
    return values.cast(pl.Int64, strict=False).fill_null(whole)


def item_rows(frame: pl.DataFrame, *, item_id: str, title: str, columns: Sequence[str]) -> pl.DataFrame:
    """Columns row, item_id (null where empty), title, and the text columns; blanks collapsed, unknown text "".

    A text column that is called as one of ours, such as "item", goes by "item_text".
    """
    blanks = r"\s+"
    names = {column: column if column not in OWN_COLUMNS else f"{column}_text" for column in columns}
    if len(set(names.values())) < len(names):
        raise InputError(f"the items table has columns that cannot be told apart: rename one of {', '.join(columns)}")
    texts = [
        text(frame, column).fill_null("").str.replace_all(blanks, " ").str.strip_chars().alias(name)
        for name, column in (("title", title), *((names[c], c) for c in columns))
    ]
    return pl.DataFrame([ids(frame, item_id).alias("item_id"), *texts]).with_row_index("row", offset=1)
