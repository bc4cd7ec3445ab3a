"""Where the records of delimited text lie, by the places of quotes, separators and line feeds, without reading."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

QUOTE, FEED, RETURN = b'"\n\r'
_INSIDE = re.compile(rb'(?:[^"]|"")*')  # up to the quote that closes the field


@dataclass(frozen=True)
class Records:
    """Where R records lie in the bytes, header included."""

    begin: np.ndarray  # (R,) first byte
    end: np.ndarray  # (R,) the line feed that ends it
    line: np.ndarray  # (R,) line of the file, from 1
    fields: np.ndarray  # (R,) fields of each
    regular: bool  # quotes stand at the edges of fields only, or doubled
    feeds: int  # line feeds of the file


def records_of(raw: bytes, separator: str, quoted: bool) -> Records:
    """Where the records lie by the places of quotes, separators and line feeds alone."""
    buffer = np.frombuffer(raw, np.uint8)
    quotes = np.flatnonzero(buffer == QUOTE) if quoted else np.empty(0, np.int64)
    feeds = np.flatnonzero(buffer == FEED)
    splits = np.flatnonzero(buffer == ord(separator))
    end = feeds[np.searchsorted(quotes, feeds) % 2 == 0]
    splits = splits[np.searchsorted(quotes, splits) % 2 == 0]
    begin = np.concatenate([[0], end[:-1] + 1]) if len(end) else np.empty(0, np.int64)
    edge = np.isin(buffer[quotes[::2] - 1], (ord(separator), FEED, QUOTE)) | (quotes[::2] == 0)
    after = buffer[np.minimum(quotes[1::2] + 1, len(raw) - 1)]
    regular = len(quotes) % 2 == 0 and edge.all() and np.isin(after, (ord(separator), FEED, RETURN, QUOTE)).all()
    return Records(
        begin=begin,
        end=end,
        line=np.searchsorted(feeds, begin) + 1,
        fields=np.searchsorted(splits, end) - np.searchsorted(splits, begin) + 1,
        regular=bool(regular),
        feeds=len(feeds),
    )


def row_inside(raw: bytes, records: Records, separator: str) -> int:
    """The first line inside a quoted field that looks like a row: as many fields as the header, none after a blank."""
    if len(records.end) in (0, records.feeds):
        return 0
    width = int(records.fields[np.argmin(blank_records(raw, records))])
    spanning = np.flatnonzero(np.diff(np.append(records.line, records.feeds + 1)) > 1)
    for at in spanning[spanning > 0].tolist():
        inner = raw[records.begin[at] : records.end[at]].split(b"\n")[1:]
        for number, line in enumerate(inner, int(records.line[at]) + 1):
            if looks_like_row(line, separator, width):
                return number
    return 0


def looks_like_row(line: bytes, separator: str, width: int) -> bool:
    """Whether a line that begins inside a quoted field has `width` fields, the first not empty, none after a blank.

    Where the field ends on this line (`end of text",4`), the separator must be in the field's part of it too.
    """
    line = line.rstrip(b"\r")
    parts = line.split(separator.encode())
    inside = _INSIDE.match(line)[0].count(separator.encode())  # type: ignore[index]
    many = (len(parts) == width and inside > 0) or inside == width - 1
    return width > 1 and many and bool(parts[0].strip()) and not any(part[:1] == b" " for part in parts)


def blank_records(raw: bytes, records: Records) -> np.ndarray:
    """(R,) bool: records of one field that hold nothing but blanks."""
    blank: np.ndarray = records.end - records.begin <= 1
    for at in np.flatnonzero(blank | (records.fields == 1)).tolist():
        blank[at] = not raw[records.begin[at] : records.end[at]].strip(b" \t\r") and records.fields[at] == 1
    return blank
