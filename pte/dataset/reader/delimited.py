"""Delimited text -> a table of texts, with every line accounted for: it is a row, blank, too long, or inside a quote.

The places of quotes, separators and line feeds show how many records a file has and how many fields each; polars reads
the fields, and its answer counts only where it has as many records. Where quotes stand inside unquoted fields, Python's
csv module reads record by record. `quoting`: "auto" takes doubled quotes (RFC 4180), else quotes escaped by a backslash
(Spark's and MySQL's way), and refuses a quoted field over lines that look like rows of their own, as a missing quote
makes it; "double" and "backslash" trust the file; under "none" a quote is a character like any other.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.dataset.reader.content import text_bytes
from pte.dataset.reader.structure import Records, blank_records, looks_like_row, records_of, row_inside
from pte.schema import InputError, one_of

NAMES = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "space": " ", "comma_space": ", "}
QUOTING = ("auto", "double", "backslash", "none")
BLANKS = " \t\u00a0\u200b\ufeff"  # around a column's name in the header: not seen, so not part of it
_EXCEL = re.compile(rb'"?sep=([^\w\s"]|\t)"?\r?\n', re.IGNORECASE)  # a first line that Excel reads and writes
FIELD, ESCAPED = "\x1f", "\x1e"  # stand in for a long separator, and for a quote escaped by a backslash


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a text table is written. separator: a name of NAMES or the text itself; None: as the file's suffix says."""

    separator: str | None = None
    quoting: str = "auto"
    configurable: bool = False  # whether `dataset.separator` and `dataset.quoting` are knobs of this data set

    def __post_init__(self) -> None:
        one_of("dataset.quoting", self.quoting, QUOTING)
        if self.separator is not None and (not str(self.separator) or set(str(self.separator)) & set('"\n\r')):
            raise InputError(
                f"dataset.separator={self.separator!r}: must be one of {', '.join(NAMES)}, or the characters themselves"
            )

    @property
    def characters(self) -> str | None:
        """The separator's characters, None where the suffix decides."""
        return (
            None if self.separator is None else NAMES.get(str(self.separator), str(self.separator).replace("\\t", "\t"))
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as read, and where its rows lie in the file."""

    frame: pl.DataFrame  # M rows; of text files every column is text, empty = null
    row: np.ndarray  # (M,) number among the data rows, from 1; header and blank lines are not counted
    line: np.ndarray | None = None  # (M,) line of the file on which the row begins, from 1; None: not a text file
    ragged: tuple[tuple[int, int], ...] = ()  # (row, line) of the rows with too many fields, which are not in `frame`
    repeated: frozenset[str] = field(default_factory=frozenset)  # names that the header holds more than once
    inner_lines: int = 0  # lines that go on a quoted field of the line before
    short: tuple[int, ...] = ()  # rows with fewer fields than the header, the rest taken as empty
    separator: str = ""  # of its fields; "": not a text file
    above: int = 0  # lines above the header that are comments (#) or name the separator (sep=;)


def read_delimited(path: Path, separator: str, form: Form, raw: bytes | None = None) -> Table:
    """The table in a text file; `separator` is what the suffix says. InputError: no table, or one read two ways.

    raw: its `text_bytes`, where they were read already.
    """
    raw = text_bytes(path) if raw is None else raw
    raw, above, separator = _from_header(raw, separator, form)
    separator = _separator(path, raw, separator, form)
    if len(separator) > 1:
        if FIELD.encode() in raw:
            raise InputError(f"{path} holds the control character 0x1F and cannot be read with dataset.separator")
        raw = raw.replace(separator.encode(), FIELD.encode())
    one = separator if len(separator) == 1 else FIELD
    raw, records, escaped = _dialect(path, raw, one, form)
    table = _fast(raw, records, one, form) if records.regular else None
    table = table if table is not None else _slow(path, raw, one, form)
    table = replace(table, separator=separator, above=above)
    if one == FIELD:
        table = _replaced(table, FIELD, separator)
    return _replaced(table, ESCAPED, '"') if escaped else table


def _from_header(raw: bytes, usual: str, form: Form) -> tuple[bytes, int, str]:
    """The bytes with lines above the header blanked, how many there were, and the separator that Excel's sep= names.

    A line that begins with # is a comment, unless it has as many fields as the first line that does not.
    """
    begin, above, line = 0, 0, b""
    while begin < len(raw):
        before, line = line, raw[begin : raw.index(b"\n", begin) + 1]
        excel = _EXCEL.fullmatch(line)
        if line.strip() and not excel and not line.startswith(b"#"):
            break
        usual = excel[1].decode() if excel else usual
        begin, above = begin + len(line), above + bool(line.strip())
    else:
        return raw, 0, usual
    fields = line.count((form.characters or usual).encode())
    if fields and before.startswith(b"#") and before.count((form.characters or usual).encode()) == fields:
        begin, above = begin - len(before), above - 1  # it is the header
    return b"\n" * raw.count(b"\n", 0, begin) + raw[begin:], above, usual


def _replaced(table: Table, old: str, new: str) -> Table:
    """Text for what stood in for it, in the values and the header."""
    frame = table.frame.with_columns(pl.all().str.replace_all(old, new, literal=True))
    return replace(table, frame=frame.rename({name: name.replace(old, new) for name in frame.columns}))


def _separator(path: Path, raw: bytes, usual: str, form: Form) -> str:
    """The given separator where the header holds it, else the suffix's; refused where neither parts the header."""
    header = raw.lstrip(b"\r\n").split(b"\n", 1)[0].decode().strip("\r")
    separator = form.characters
    if separator is not None and (separator in header or not usual):
        return separator
    parts = header.split(usual)
    actual = next(
        (name for name, other in NAMES.items() if name != "space" and other != usual and other in header), None
    )
    if usual == "," and len(parts) > 1 and all(part.startswith(" ") for part in parts[1:]):
        actual = "comma_space"
    elif usual in header:
        return usual
    if actual is None:
        return usual
    remedy = f"type dataset.separator={actual}" if form.configurable else f"write it with {usual!r} between fields"
    raise InputError(f"{path}: its fields are separated by {NAMES[actual]!r} and not by {usual!r}; {remedy}")


def _dialect(path: Path, raw: bytes, separator: str, form: Form) -> tuple[bytes, Records, bool]:
    """The bytes to read, their records, and whether quotes escaped by a backslash were replaced by ESCAPED."""
    quoted = form.quoting != "none"
    records = records_of(raw, separator, quoted)
    if form.quoting == "auto":
        suspect = row_inside(raw, records, separator)
        if b'\\"' in raw and (suspect or not records.regular):
            return _dialect(path, raw, separator, replace(form, quoting="backslash"))
        if suspect and records.regular:
            raise InputError(_swallowed(path, suspect) + _remedies(form, "double"))
    if form.quoting != "backslash":
        return raw, records, False
    if ESCAPED.encode() in raw:
        raise InputError(f"{path} holds the control character 0x1E and escaped quotes: take the former out")
    raw = re.sub(rb'(\\+)"', _unescaped, raw)
    records = records_of(raw, separator, True)
    if suspect := row_inside(raw, records, separator):
        raise InputError(_swallowed(path, suspect) + _remedies(form, "double"))
    return raw, records, True


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Backslashes before a quote: each pair is one backslash, an odd one escapes the quote."""
    count = len(match[1])
    return b"\\" * (count // 2) + (ESCAPED.encode() if count % 2 else b'"')


def _swallowed(path: Path, line: int) -> str:
    return (
        f"{path}: line {line:,} reads as a row of its own but lies inside a quoted field that an earlier line opens: a"
        " quote is missing or too many there. Mend it"
    )


def _remedies(form: Form, trust: str) -> str:
    if not form.configurable:
        return ""
    return (
        f"; or type dataset.quoting=none where quotes are characters like any other, dataset.quoting={trust} where the"
        " field does hold these lines"
    )


def _fast(raw: bytes, records: Records, separator: str, form: Form) -> Table | None:
    """polars' reading, None where its number of rows is not that of the records."""
    blank = blank_records(raw, records)
    if blank.all():
        return None
    head = int(np.argmin(blank))
    names = _names(next(_reader(raw[records.begin[head] : records.end[head] + 1].decode(), separator, form)))
    begin = int(records.begin[head + 1]) if head + 1 < len(records.begin) else len(raw)
    unique = [f"{number}" for number in range(len(names))]
    body = raw[begin:]
    if body:
        try:
            frame = pl.read_csv(
                body, separator=separator, has_header=False, infer_schema=False, truncate_ragged_lines=True,
                quote_char=None if form.quoting == "none" else '"', schema=dict.fromkeys(unique, pl.String),
            )  # fmt: skip
        except pl.exceptions.PolarsError:
            return None
    else:
        frame = pl.DataFrame(schema=dict.fromkeys(unique, pl.String))
    blank, line, fields = blank[head + 1 :], records.line[head + 1 :], records.fields[head + 1 :]
    if len(frame) != len(line):
        return None
    long = ~blank & (fields > len(names))
    row = np.cumsum(~blank)
    good = ~blank & ~long
    return Table(
        frame=_named(frame.filter(pl.Series(good)), names),
        row=row[good],
        line=line[good],
        ragged=tuple(zip(row[long].tolist(), line[long].tolist(), strict=True)),
        repeated=_repeated(names),
        inner_lines=records.feeds - len(records.end),
        short=tuple(row[good & (fields < len(names))].tolist()),
    )


def _reader(text: str, separator: str, form: Form) -> Any:
    """Python's csv reader, which refuses what stands behind a closing quote."""
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if form.quoting == "none" else csv.QUOTE_MINIMAL,
        strict=True,
    )


def _slow(path: Path, raw: bytes, separator: str, form: Form) -> Table:
    """Record by record, for files with quotes inside unquoted fields; a quote that cannot be read is refused."""
    limit = csv.field_size_limit(sys.maxsize)
    reader = _reader(raw.decode(), separator, form)
    rows: list[list[str]] = []
    line, begin, inner = [], 1, 0
    try:
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                rows.append(fields)
                line.append(begin)
                inner += reader.line_num - begin
                _not_a_row(path, raw, (begin, reader.line_num), separator, form, len(rows[0]))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}: the record that begins on line {begin:,} cannot be read ({error}); mend its quotes"
            + _remedies(form, "backslash")
        ) from None
    finally:
        csv.field_size_limit(limit)
    return replace(_table(rows, line), inner_lines=inner)


def _not_a_row(path: Path, raw: bytes, lines: tuple[int, int], separator: str, form: Form, width: int) -> None:
    """Refuse a record over several lines where one of them is a row of its own."""
    first, last = lines
    if first < last and form.quoting != "double":
        for number, line in enumerate(raw.split(b"\n")[first:last], first + 1):
            if looks_like_row(line, separator, width):
                raise InputError(_swallowed(path, number) + _remedies(form, "double"))


def _table(rows: list[list[str]], line: list[int]) -> Table:
    """The slow reader's records, the header first."""
    names, *rows = rows
    names = _names(names)
    place = list(enumerate(line[1:], 1))
    long = [spot for spot, fields in zip(place, rows, strict=True) if len(fields) > len(names)]
    short = [spot for spot, fields in zip(place, rows, strict=True) if len(fields) <= len(names)]
    good = [fields + [""] * (len(names) - len(fields)) for fields in rows if len(fields) <= len(names)]
    columns = list(zip(*good, strict=True)) or [()] * len(names)
    frame = pl.DataFrame([pl.Series(str(n), column, dtype=pl.String) for n, column in enumerate(columns)])
    return Table(
        frame=_named(frame.with_columns(pl.all().replace("", None)), names),
        row=np.array([row for row, _ in short], np.int64),
        line=np.array([at for _, at in short], np.int64),
        ragged=tuple(long),
        repeated=_repeated(names),
        short=tuple(row for (row, _), fields in zip(place, rows, strict=True) if len(fields) < len(names)),
    )


def _names(header: list[str]) -> list[str]:
    return [name.strip(BLANKS) for name in header]


def _named(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The header's names; a name met again gets a number behind it, so that no column replaces another."""
    unique: list[str] = []
    for name in names:
        number, new = 1, name
        while new in unique:
            number, new = number + 1, f"{name} ({number + 1})"
        unique.append(new)
    return frame.rename(dict(zip(frame.columns, unique, strict=True)))


def _repeated(names: list[str]) -> frozenset[str]:
    return frozenset(name for name in names if names.count(name) > 1)
