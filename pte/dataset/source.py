"""Files -> string tables -> typed columns. A missing column, a ragged row, an unreadable time: said, never guessed."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pte.schema import InputError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".inter": "\t", ".item": "\t"}
OWN_COLUMNS = ("row", "item", "item_id", "title", "placeholder")  # of the items table, while it is read
_STAMP = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,](\d+))?)?\s*(Z|[+-]\d{2}:?\d{2})?$"


def suffix(path: Path) -> str:
    """What decides how a file is read: ".csv", ".tsv.gz", ".parquet", ..."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def read_frame(path: Path, *, quoted: bool = True) -> tuple[pl.DataFrame, list[int]]:
    """A table as read (CSV: all text, empty = null), and the numbers of the rows that have too many fields.

    Those rows are not in the table. Rows are counted from 1, the header not counted.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    kind = suffix(path).removesuffix(".gz")
    if kind not in (*SEPARATORS, ".parquet"):
        raise InputError(
            f"{path}: do not know how to read {kind or 'a file without suffix'}; use .csv .tsv (.gz) .parquet"
        )
    try:
        if kind == ".parquet":
            return pl.read_parquet(path), []
        quote = '"' if quoted else None
        return pl.read_csv(path, separator=SEPARATORS[kind], infer_schema=False, quote_char=quote), []
    except pl.exceptions.NoDataError:
        raise InputError(f"{path} is empty: a header row with the column names is needed") from None
    except pl.exceptions.ComputeError as error:
        if kind != ".parquet" and any(sign in str(error) for sign in ("more fields", "malformed")):
            return _read_slowly(path, SEPARATORS[kind], quoted)
        hint = "; save it as UTF-8" if "utf-8" in str(error) else ""
        raise InputError(f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}{hint}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}") from None


def _read_slowly(path: Path, separator: str, quoted: bool) -> tuple[pl.DataFrame, list[int]]:
    """Row by row, only where the fast reader stumbled: a row with too many fields, or a quote inside a field."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        fields = csv.reader(
            file, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True
        )
        try:
            header, *rows = (row for row in fields if row)
        except csv.Error as error:
            raise InputError(f"{path}: line {fields.line_num} cannot be read ({error}); mend its quotes") from None
    long = [number for number, row in enumerate(rows, 1) if len(row) > len(header)]
    good = [row + [""] * (len(header) - len(row)) for row in rows if len(row) <= len(header)]
    columns = list(zip(*good, strict=True)) or [()] * len(header)
    frame = pl.DataFrame(
        {name: pl.Series(column, dtype=pl.String) for name, column in zip(header, columns, strict=True)}
    )
    return frame.with_columns(pl.all().replace("", None)), long


def require(frame: pl.DataFrame, wanted: Mapping[str, str], path: Path, *, configurable: bool = False) -> None:
    """Every wanted column must be in the table. configurable: the mapping's keys are the knobs that name them."""
    for knob, column in wanted.items():
        if column in frame.columns:
            continue
        how = f" Name the right one: dataset.{knob}=COLUMN" if configurable else ""
        if configurable and knob == "timestamp":
            how += ", or dataset.timestamp=null dataset.position=COLUMN"
        raise InputError(f"{path} has no column {column!r}. It has: {', '.join(frame.columns)}.{how}")


def text(frame: pl.DataFrame, column: str) -> pl.Series:
    """A column as text, null where empty; a list as its parts with commas."""
    values = frame[column]
    if values.dtype.is_float():
        values = values.fill_nan(None)
        if (values.drop_nulls() == values.drop_nulls().floor()).all():
            values = values.cast(pl.Int64)  # 1.0 is the id "1"
    try:
        if isinstance(values.dtype, pl.List):
            values = values.cast(pl.List(pl.String)).list.join(", ", ignore_nulls=True)
        return values.cast(pl.String).replace("", None)
    except pl.exceptions.PolarsError:
        raise InputError(
            f"column {column!r} holds {values.dtype}, which is no text: leave it out (dataset.text=[COLUMN,...]) or"
            " write it as text"
        ) from None


def seconds(values: pl.Series) -> pl.Series:
    """Times as whole Unix seconds (Int64), null where unreadable; see `microseconds`."""
    return microseconds(values) // 1_000_000


def microseconds(values: pl.Series) -> pl.Series:
    """Times as Unix microseconds (Int64), which tell events of one second apart; null where unreadable.

    Understood: numbers (the column's largest one tells seconds from milli-, micro- and nanoseconds), ISO 8601 dates
    and times (UTC where no zone is given), and Parquet's own dates and times.
    """
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("us")).dt.epoch("us")
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() > values.null_count():  # some are not numbers
        return _iso(values.cast(pl.String)).fill_null(_sized(numbers))
    return _sized(numbers)


def _sized(numbers: pl.Series) -> pl.Series:
    """1e11 s is the year 5138 and 1e11 ms is 1973, so the size tells the unit."""
    finite = numbers.filter(numbers.is_finite().fill_null(False)).to_numpy()
    largest = float(np.abs(finite).max(initial=0))
    unit = next(size for size in (1, 10**3, 10**6, 10**9) if largest < 1e11 * size or size == 10**9)
    # multiplied or divided by a whole number, so that a whole microsecond stays one
    whole = (numbers * (1e6 / unit)).floor() if unit < 10**9 else (numbers / 1e3).floor()
    return whole.set(~numbers.is_finite() | (numbers < 0), None).cast(pl.Int64, strict=False)


def _iso(values: pl.Series) -> pl.Series:
    part = pl.col("stamp").str.strip_chars()
    group = {i: part.str.extract(_STAMP, i) for i in (1, 2, 3, 4, 5)}
    stamp = pl.concat_str(group[1], pl.lit(" "), group[2].fill_null("00:00"), group[3].fill_null(":00"))
    fraction = group[4].fill_null("").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64)
    zone = group[5].str.replace("Z", "+00:00").str.replace(":", "").fill_null("+0000")
    offset = zone.str.slice(1, 2).cast(pl.Int64) * 3600 + zone.str.slice(3, 2).cast(pl.Int64) * 60
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    local = stamp.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("us") + fraction
    found = pl.DataFrame({"stamp": values}).select((local - sign * offset * 1_000_000).alias("time"))["time"]
    return found.set(found < 0, None)


def interaction_rows(
    frame: pl.DataFrame, *, user_id: str, item_id: str, position: str | None, timestamp: str | None
) -> pl.DataFrame:
    """Columns row, user_id, item_id, position, time and bad (an empty id, or no readable place in the order).

    Without a column of positions the time is the place in the order, to the microsecond.
    """
    user, item = text(frame, user_id), text(frame, item_id)
    place = _places(text(frame, position)) if position else None
    given = text(frame, timestamp).is_not_null() if timestamp else None
    moment = microseconds(frame[timestamp]) if timestamp else pl.Series([None] * len(frame), dtype=pl.Int64)
    time = moment // 1_000_000
    bad = user.is_null() | item.is_null()
    if place is not None:
        bad |= place.is_null()
    if given is not None:
        bad |= time.is_null() & (given if place is not None else True)
    order = place if place is not None else moment
    return pl.DataFrame({"user_id": user, "item_id": item, "position": order, "time": time, "bad": bad}).with_row_index(
        "row", offset=1
    )


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
    return pl.DataFrame([text(frame, item_id).alias("item_id"), *texts]).with_row_index("row", offset=1)
