"""A publisher's file, one record at a time: plain or gzip, whatever its name, never the whole of it in memory.

A file that ends in the middle is refused. A line that cannot be read is counted; more of them than tolerated are
refused, with the number of the first.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from pte import asset
from pte.dataset.reader.content import FORMATS, MARKS
from pte.paths import expanded
from pte.schema import InputError

Record = TypeVar("Record")
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, SyntaxError, RecursionError, MemoryError)
LAST_SECOND = 4_102_444_800  # 2100-01-01: a later time is written in another unit


def locate(
    place: str | None,
    *,
    knob: str,
    data: str | None,
    folder: str,
    names: tuple[str, ...] = (),
    sha256: str | None = None,
    advice: str = "",
) -> Path:
    """The file that `place` names: a path as it is; of a URI first the copy in `data`/`folder`, else a download.

    names: what the file may be called in that folder; advice: what to do where it is nowhere and cannot be fetched.
    """
    if place is not None and not re.match(r"(https?|hf|pypi):", place):
        path = asset.local_path(place, f"dataset.{knob}")
        if not path.exists():
            raise InputError(f"dataset.{knob}={place}: there is no such file")
        return path
    here = expanded(data, "paths.data") / folder if data else None
    if place is not None:
        names = (place.rsplit("/", 1)[-1], *names)
        if here is not None and (here / names[0]).is_file():
            return asset.fetch(str(here / names[0]), sha256=sha256)
    for name in (name for full in names for name in (full, full.removesuffix(".gz"))):
        if here is not None and (here / name).exists():
            return here / name
    if place is not None:
        try:
            return asset.fetch(place, sha256=sha256)
        except InputError as error:
            raise InputError(f"{error}. Or, with the file elsewhere, type dataset.{knob}=/its/path") from None
    if not names:
        raise InputError(f"dataset.{knob} is empty: type dataset.{knob}=/its/path")
    where = str(here) if here is not None else f"{folder}/ in a folder that PTE_DATA (or paths.data) names"
    raise InputError(
        f"dataset.{knob}: {advice} Put {' or '.join(names)} into {where}, or type dataset.{knob}=/its/path"
    )


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a plain or gzip file, from 1, with their line ends. Truncated gzip is an InputError."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the file inside it")
    number = 0
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=raw) if zipped else raw as file:
                _is_text(path, file.peek(16))
                for number, line in enumerate(file, 1):
                    yield number, line
    except EOFError:
        raise InputError(
            f"{path} is truncated: the compressed data ends in the middle, after line {number:,}. Fetch it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged after line {number:,} ({error}). Fetch it again") from None


def _is_text(path: Path, head: bytes) -> None:
    """InputError where the first bytes are no UTF-8 text, one record a line."""
    kind = next((kind for magic, kind in FORMATS.items() if head.startswith(magic)), None)
    if kind is None and any(head.startswith(mark) for mark, name in MARKS.items() if name != "utf-8-sig"):
        kind = "UTF-16 or UTF-32: save it as UTF-8"
    if kind is not None:
        raise InputError(f"{path} holds no records but is {kind}")
    if head.strip()[:1] == b"[" or re.match(rb"\s*\{\s*\n", head):
        raise InputError(f"{path} is one JSON text over all its lines: write a record a line, as jq -c '.[]' does")


class Records(Generic[Record]):
    """The records of a file, once through; then `malformed` says how many lines were not readable.

    parse: a line -> a record; a line it cannot read raises one of MALFORMED. skip: lines not to look at.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes], Record],
        *,
        max_malformed: int,
        skip: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.path, self.parse, self.max_malformed, self.skip = path, parse, max_malformed, skip
        self.malformed = 0
        self._first = ""

    def __iter__(self) -> Iterator[Record]:
        good = number = 0
        for number, line in lines(self.path):
            if not line.strip() or (self.skip is not None and self.skip(line)):
                continue
            try:
                record = self.parse(line)
            except MALFORMED as error:
                self._count(number, line, error)
                continue
            good += 1
            yield record
        if number == 0 or (good == 0 and self.skip is None):
            raise InputError(f"{self.path} holds no record" + (f": {self._first}" if self._first else ""))

    def _count(self, number: int, line: bytes, error: Exception) -> None:
        reason = f"no field {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        self._first = self._first or f"line {number:,} ({reason[:200].encode(errors='backslashreplace').decode()})"
        self.malformed += 1
        if number == 1 and line.count(b"\r") > 1:
            raise InputError(
                f"{self.path}: its lines end in carriage returns alone: write line feeds, as tr '\\r' '\\n' does"
            )
        if not line.endswith(b"\n"):
            raise InputError(f"{self.path} is truncated: its last line, {number:,}, ends in the middle. Fetch it again")
        if self.malformed > self.max_malformed:
            raise InputError(
                f"{self.path}: more than dataset.max_malformed={self.max_malformed} malformed lines; the first is"
                f" {self._first}. Is it the right file, of this edition? Else raise dataset.max_malformed"
            )


def about(key: str, catalogue: set[str]) -> Callable[[bytes], bool]:
    """A quick test for lines about none of the ids of `catalogue`, before the slow parse.

    A line whose text shows `key` with such an id anywhere, or does not show `key` at all, is parsed and read properly:
    so no row of the catalogue is lost. Other lines are not looked at, malformed or not.
    """
    pattern = re.compile(rb"""['"]%b['"]\s*:\s*u?['"]([^'"]*)['"]""" % key.encode())
    ids = {name.encode() for name in catalogue}

    def unwanted(line: bytes) -> bool:
        matches = [name.strip() for name in pattern.findall(line)]
        return bool(matches) and ids.isdisjoint(matches) and not any(b"\\" in name for name in matches)

    return unwanted


def text_of(record: Any, key: str) -> str:
    """A required id: text (or a whole number) that is not empty."""
    value = record[key]
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise ValueError(f"{key} is {value!r}")
    name = str(value).strip()
    if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(f"{key} holds half a character (a lone surrogate)")
    return name


def time_of(record: Any, key: str, unit: int) -> int:
    """A required time, of which `unit` make a second."""
    time = int(record[key])
    if isinstance(record[key], bool) or not 0 <= time < LAST_SECOND * unit:
        raise ValueError(f"{key} is {record[key]}")
    return time


def rating_of(record: Any, key: str) -> float:
    """A required rating: a finite number."""
    value = float(record[key])
    if not math.isfinite(value):
        raise ValueError(f"{key} is {value}")
    return value
