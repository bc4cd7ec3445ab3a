"""Times as tables hold them -> Unix microseconds: numbers of any unit, ISO dates, a stated format, Parquet's own types.

Numbers tell their unit by their size: 1e11 s is the year 5138 and 1e11 ms is 1973. Values that lie together have one
unit, that of the largest of them; a gap of a factor 30 or more parts values written in another unit from the rest, so
that a single one in milliseconds leaves seconds what they are. Values below 1e8 tell no unit and take that of most.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pte.schema import InputError

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}  # times per second
DIGITS = {"%Y%m%d": 8, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}  # of a date as one number, by how it is written
GAP = 30  # dates from 1973 to 2040 lie within a factor 22 of one another; neighbouring units are a factor 1000 apart
TELLING = 1e8  # seconds until March 1973: what is smaller may be milliseconds or a plain count
FORMS = (
    "Unix seconds from 0 on (or milli-, micro-, nanoseconds), or ISO dates from 1970 on such as 2001-09-09 or"
    " 2001-09-09T01:46:40Z"
)
_STAMP = (
    r"(?i)^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,](\d+))?)?\s*(Z|UTC|GMT|[+-][01]\d(?::?[0-5]\d)?)?$"
)


def seconds(values: pl.Series, form: str | None = None) -> pl.Series:
    """Times as whole Unix seconds (Int64), null where unreadable; see `microseconds`."""
    return microseconds(values, form) // 1_000_000


def microseconds(values: pl.Series, form: str | None = None) -> pl.Series:
    """Times as Unix microseconds (Int64), which tell events of one second apart; null where unreadable or before 1970.

    form: None, one of UNITS, or a strptime format such as "%d/%m/%Y" (UTC where it has no %z). InputError: a column
    of a type that holds no moments, such as times of day.
    """
    values = _readable(values)
    if values.dtype.is_temporal():
        moment = values.cast(pl.Datetime("us")).dt.epoch("us")
    elif form is not None and form not in UNITS:
        moment = _formatted(values, form)
    else:
        numbers = values.cast(pl.Float64, strict=False)
        if form is None:
            _refuse_dates(numbers)
        moment = _scaled(numbers, UNITS[form]) if form else _sized(numbers)
        if form is None and numbers.null_count() > values.null_count():  # some are not numbers
            moment = _iso(values.cast(pl.String)).fill_null(moment)
    return moment.set((moment < 0).fill_null(False), None)


def units_mixed(values: pl.Series) -> int:
    """How many numbers of a column of times are written in another unit than most."""
    numbers = _readable(values).cast(pl.Float64, strict=False) if not values.dtype.is_temporal() else pl.Series([0.0])
    positive = numbers.filter(numbers.is_finite().fill_null(False) & (numbers > 0)).to_numpy()
    unit = _units(positive)
    return int((unit != _most(unit)).sum()) if len(unit) else 0


def time_format(form: str | None) -> str | None:
    """The knob `dataset.time_format`, checked."""
    if form is not None and form not in UNITS and "%" not in str(form):
        raise InputError(
            f"dataset.time_format={form}: must be one of {', '.join(UNITS)}, or a format such as %Y%m%d or %d/%m/%Y"
        )
    return None if form is None else str(form)


def _readable(values: pl.Series) -> pl.Series:
    """The column as numbers, text or moments; InputError where its type is none of them."""
    kind = values.dtype
    if kind in (pl.Categorical, pl.Enum, pl.String):
        return values.cast(pl.String).str.strip_chars()
    if kind == pl.Float32 and (large := values.filter(values > 2**24).drop_nans()).len():
        raise InputError(
            f"column {values.name!r} holds times as {kind}, which rounds numbers as large as {large[0]:.0f} to the"
            " minute or worse: write them as whole numbers or Float64"
        )
    if kind.is_numeric() or kind in (pl.Null, pl.Date, pl.Datetime):
        return values
    raise InputError(
        f"column {values.name!r} holds {kind}, which is no moment in time: give one with {FORMS}"
        + (" (a time of day lacks its date)" if kind in (pl.Time, pl.Duration) else "")
    )


def _formatted(values: pl.Series, form: str) -> pl.Series:
    """Text by a strptime format; whole numbers (20010909) as their digits."""
    text = (values.cast(pl.Int64, strict=False) if values.dtype.is_float() else values).cast(pl.String)
    if "." not in form:  # 20010909.0 is how a column with a gap in it is written
        text = text.str.replace(r"^(\d+)\.0*$", "$1")
    try:
        moment = text.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"dataset.time_format={form} is no format of dates and times ({reason})") from None
    return moment.dt.epoch("us")


def _refuse_dates(numbers: pl.Series) -> None:
    """InputError where nine in ten numbers read as dates, which no seconds do: 20190101, 201901011230 ..."""
    whole = numbers.filter((numbers.is_finite() & (numbers > 0) & (numbers < 1e15)).fill_null(False)).cast(pl.Int64)
    for form, digits in DIGITS.items():
        text = whole.filter(whole.is_between(19 * 10 ** (digits - 2), 21 * 10 ** (digits - 2))).cast(pl.String)
        dates = text.str.to_datetime(form, strict=False) if len(text) else text
        if len(text) and len(text) - dates.null_count() >= 0.9 * len(whole):
            raise InputError(
                f"column {numbers.name!r} holds dates written as whole numbers, such as {text[0]}: type"
                f" dataset.time_format={form}, or dataset.time_format=seconds where they are seconds after all"
            )


def _sized(numbers: pl.Series) -> pl.Series:
    """Each number in the unit of the values it lies among."""
    array = numbers.fill_null(float("nan")).to_numpy()
    positive = np.isfinite(array) & (array > 0)
    unit = np.ones(len(array), np.int64)
    unit[positive] = _units(array[positive])
    moment = np.zeros(len(array), np.int64)
    for size in np.unique(unit[positive]).tolist():
        rows = positive & (unit == size)
        moment[rows] = _scaled(numbers.filter(pl.Series(rows)), size).fill_null(-1).to_numpy()
    unreadable = ~np.isfinite(array) | (array < 0)
    return pl.Series(moment, dtype=pl.Int64).set(pl.Series(unreadable), None)


def _units(values: np.ndarray) -> np.ndarray:
    """(n,) int64: how many of a positive value's unit make a second, by the largest value of its group."""
    distinct, where, count = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) == 0:
        return np.empty(0, np.int64)
    group = np.concatenate([[0], np.cumsum(distinct[1:] >= GAP * distinct[:-1])])
    top = distinct[np.append(np.flatnonzero(np.diff(group)), len(distinct) - 1)]  # (G,) the largest of each group
    unit = np.select([top < 1e11, top < 1e14, top < 1e17], [1, 10**3, 10**6], 10**9)
    weight = np.bincount(group, count) * (top >= TELLING)
    most = unit[np.argmax(weight)] if weight.any() else 1
    unit = np.where(top >= TELLING, unit, most)
    units: np.ndarray = unit[group][where].astype(np.int64)
    return units


def _most(unit: np.ndarray) -> int:
    units, count = np.unique(unit, return_counts=True)
    return int(units[np.argmax(count)])


def _scaled(numbers: pl.Series, unit: int) -> pl.Series:
    """Numbers of one unit as microseconds, by a whole factor, so that a whole microsecond stays one."""
    finite = numbers.set((~numbers.is_finite() | (numbers < 0)).fill_null(True), None)
    whole = (finite * (1e6 / unit)).floor() if unit < 10**9 else (finite / 1e3).floor()
    return whole.cast(pl.Int64, strict=False)


def _iso(values: pl.Series) -> pl.Series:
    part = pl.col("stamp")
    group = {i: part.str.extract(_STAMP, i) for i in (1, 2, 3, 4, 5)}
    stamp = pl.concat_str(group[1], pl.lit(" "), group[2].fill_null("00:00"), group[3].fill_null(":00"))
    fraction = group[4].fill_null("").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64)
    zone = group[5].str.replace("(?i)z|utc|gmt", "+00").str.replace(":", "").str.pad_end(5, "0").fill_null("+0000")
    offset = zone.str.slice(1, 2).cast(pl.Int64) * 3600 + zone.str.slice(3, 2).cast(pl.Int64) * 60
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    local = stamp.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("us") + fraction
    return pl.DataFrame({"stamp": values}).select((local - sign * offset * 1_000_000).alias("time"))["time"]
