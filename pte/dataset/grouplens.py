"""MovieLens as GroupLens hands it out: 100K, 1M and latest (small or full), from the zip or the folder it unpacks to.

| layout | ratings | films |
|---|---|---|
| 100k | u.data: user, item, rating, time by tabs | u.item: "|", Latin-1, 19 flags named in u.genre |
| 1m | ratings.dat by "::" | movies.dat by "::", Latin-1: id, title, genres by "|" |
| latest | ratings.csv with a header | movies.csv (quoted), tags.csv |

A title's year goes to a column of its own: "Matrix, The (1999)" -> "Matrix, The" and "1999". Ties in time keep the
file's order. Tags are written by the raters themselves, partly after a held-out rating: none are used unless requested.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from pte.artifact import digest, file_sha256
from pte.dataset.events import Choice, CodedColumn, Release, core, items_table, select_rows
from pte.dataset.reader.content import text_bytes
from pte.dataset.reader.delimited import Form, read_delimited
from pte.dataset.reader.plaintext import plain
from pte.dataset.reader.record import LAST_SECOND, locate
from pte.dataset.rules import Rules
from pte.schema import InputError, Interactions, Resolved, one_of

NAMES = {
    "100k": ("u.data", "u.item", "u.genre"),
    "1m": ("ratings.dat", "movies.dat"),
    "latest": ("ratings.csv", "movies.csv"),
}
COLUMNS = {"userId": "user", "movieId": "item", "rating": "rating", "timestamp": "time"}
TYPES = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float64, "time": pl.Int64}
MOST_STARS = 100  # of any scale; what is larger is no rating but another column
TEXTS = ("genres", "year", "tags")
NO_GENRE = ("unknown", "(no genres listed)", "")
_YEAR = re.compile(r"^(.*?)\s*\((\d{4})(?:[-–]\d{0,4})?\)$")


class GroupLens(Release):
    """source: the zip (a URI or a path) or the folder it unpacks to; a copy in `data` is used before a download."""

    def __init__(
        self,
        *,
        name: str,
        layout: str,
        data: Resolved[str | None],
        source: Resolved[str],
        sha256: Resolved[str | None],
        licence: str,
        expect: Mapping[str, int] | None,
        max_tags: int,
        choice: Choice,
        rules: Rules,
    ) -> None:
        one_of("dataset.layout", layout, NAMES)
        self.name, self.layout, self.source, self.sha256 = name, layout, source, sha256
        self.data = data
        self.licence, self.expect, self.rules, self.choice = licence, expect, rules, choice
        self.max_tags = max_tags

    def path(self) -> Path:
        """The zip or the folder, fetched if need be."""
        unpacked = self.source.rsplit("/", 1)[-1].removesuffix(".zip")
        return locate(self.source, knob="source", data=self.data, folder="", names=(unpacked,), sha256=self.sha256)

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the zip; of a folder, of the members that are read."""
        path = self.path()
        if path.is_file():
            return {"source": file_sha256(path)}
        names = [*NAMES[self.layout], *(["tags.csv"] if self._tagged() else [])]
        return {"source": digest([file_sha256(_inside(path, name)) for name in names])}

    def read(self) -> Interactions:
        """The data set as Interactions."""
        counts: dict[str, int] = {}
        path = self.path()
        rows = self._rows(path, counts)
        films: dict[str, list[str]] = {}
        repeated = 0
        for film, fields in {"100k": _films_100k, "1m": _films_1m, "latest": _films_latest}[self.layout](path):
            if not film.strip():
                raise InputError(f"{path}: {NAMES[self.layout][1]} gives the film {fields[0]!r} no id")
            repeated += film in films
            films.setdefault(film, fields)
        if not films:
            raise InputError(f"{path}: {NAMES[self.layout][1]} lists no film")
        if repeated:
            counts["repeated film lines left out (first kept)"] = repeated
        tags = _tags(path, self.max_tags) if self._tagged() else {}
        items = items_table({film: [*fields, tags.get(film, "")] for film, fields in films.items()}, TEXTS)
        return self._built(rows, items, counts)

    def _tagged(self) -> bool:
        return self.layout == "latest" and self.max_tags > 0

    def _rows(self, path: Path, counts: dict[str, int]) -> pl.DataFrame:
        """The ratings: four numbers a line, read at once by columns."""
        name = NAMES[self.layout][0]
        raw, latest = member(path, name), self.layout == "latest"
        if self.layout == "1m":
            raw = raw.replace(b"::", b"\t")
        frame, line = _quoted(path, name, raw, counts) if latest and b'"' in raw else _numbers(path, name, raw, latest)
        stars = pl.col("rating").abs() <= MOST_STARS  # a time in its place is not
        good = pl.all_horizontal(pl.all().is_not_null()) & pl.col("time").is_between(0, LAST_SECOND) & stars
        bad = frame.select(good.fill_null(False).not_()).to_series()
        if bad.any():
            lines = raw.split(b"\n")
            numbers = [n for n in line[bad.to_numpy()].tolist() if lines[n - 1].strip()]
            if numbers:
                raise InputError(
                    f"{path}: {name} has {len(numbers):,} malformed line(s), the first is line {numbers[0]:,}:"
                    f" {lines[numbers[0] - 1].decode()[:60]!r}"
                )
        frame = frame.filter(~bad)
        low = 0
        if self.choice.min_rating is not None:
            low = frame.filter(pl.col("rating") < self.choice.min_rating).height
            frame = frame.filter(pl.col("rating") >= self.choice.min_rating)
        user, item = _codes(frame["user"]), _codes(frame["item"])
        time = frame["time"].to_numpy()
        return select_rows(
            user, item, time, self.choice, k=core(self.rules, self.expect), unit=1, low=low, counts=counts
        )


def _numbers(path: Path, name: str, raw: bytes, latest: bool) -> tuple[pl.DataFrame, np.ndarray]:
    """The four columns as numbers, null where none is, and their lines; read at once: no quotes stand in the file."""
    columns, body = list(COLUMNS.values()), raw if latest else raw.replace(b'"', b"")
    if latest:
        header, body = raw.split(b"\n", 1)
        columns = _columns(path, name, header.decode().split(","))
    separator, body = ("," if latest else "\t"), body.lstrip(b" \r\n")
    try:
        frame = pl.read_csv(
            body, separator=separator, has_header=False, ignore_errors=True, quote_char=None,
            schema={column: TYPES.get(column, pl.String) for column in columns},
        )  # fmt: skip
    except pl.exceptions.PolarsError:
        frame = pl.DataFrame(schema=TYPES)
    rows = body.count(b"\n")
    if len(frame) != rows:
        raise InputError(f"{path}: {name} cannot be read: {_uneven(raw, separator, len(columns))}")
    first = 1 + raw.count(b"\n") - rows
    return frame.select(*TYPES), np.arange(first, first + rows)


def _quoted(path: Path, name: str, raw: bytes, counts: dict[str, int]) -> tuple[pl.DataFrame, np.ndarray]:
    """As `_numbers`, of a file with quotes: read as text, with every line accounted for."""
    table = read_delimited(path / name, ",", Form(), raw)
    if table.ragged or table.line is None:
        raise InputError(f"{path}: {name} cannot be read: line {table.ragged[0][1]:,} has too many fields")
    counts["lines inside quoted fields"] = table.inner_lines
    frame = table.frame.rename(dict(zip(table.frame.columns, _columns(path, name, table.frame.columns), strict=True)))
    return frame.select(pl.col(column).cast(kind, strict=False) for column, kind in TYPES.items()), table.line


def _columns(path: Path, name: str, header: list[str]) -> list[str]:
    """The columns of ratings.csv in its order, GroupLens' names by ours; every other column by its own."""
    header = [field.strip() for field in header]
    if sorted(field for field in header if field in COLUMNS) != sorted(COLUMNS):
        raise InputError(f"{path}: {name} has the columns {header[:20]}, not each of {', '.join(COLUMNS)} once")
    return [COLUMNS.get(field, f"{field} {number}") for number, field in enumerate(header)]


def _uneven(raw: bytes, separator: str, width: int) -> str:
    """The first line with another number of fields than there must be."""
    for number, line in enumerate(raw.split(b"\n"), 1):
        if line.strip() and (fields := line.count(separator.encode()) + 1) != width:
            return f"line {number:,} has {fields} fields, not {width}"
    return "its lines are not alike"


def _codes(ids: pl.Series) -> CodedColumn:
    values, code = np.unique(ids.to_numpy(), return_inverse=True)
    return CodedColumn([str(value) for value in values], code.astype(np.int32))


def _inside(folder: Path, name: str) -> Path:
    paths = sorted(folder.rglob(name))
    if not paths:
        raise InputError(f"{folder} holds no {name}. Give the folder that GroupLens' zip unpacks to, or the zip")
    return paths[0]


def member(path: Path, name: str) -> bytes:
    """A file of the zip or the folder, wherever inside it lies, as `text_bytes`."""
    return text_bytes(path / name, _packed(path, name), older=True)


def _packed(path: Path, name: str) -> bytes:
    """The file's bytes as they are."""
    if path.is_dir():
        return _inside(path, name).read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.namelist() if entry.rsplit("/", 1)[-1] == name]
            if not entries:
                raise InputError(f"{path} holds no {name}: is it the right zip for this layout?")
            return archive.read(entries[0])
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is no whole zip file ({error}). Fetch it again") from None


def split_year(title: str) -> tuple[str, str]:
    """ "Toy Story (1995)" -> "Toy Story", "1995"; without a year ""."""
    match = _YEAR.match(title)
    return (match[1], match[2]) if match and match[1] else (title, "")


def _film(title: str, genres: list[str]) -> list[str]:
    """Title, genres, year as plain text."""
    name, year = split_year(plain(title))
    return ["" if name == "unknown" else name, ", ".join(genre for genre in genres if genre not in NO_GENRE), year]


def _text_lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank. Split at line feeds only: str.splitlines breaks at U+0085 too."""
    for number, line in enumerate(member(path, name).decode().split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _films_100k(path: Path) -> Iterator[tuple[str, list[str]]]:
    """u.item: id | title | release | video release | URL | one flag per genre."""
    genres = []
    for number, line in _text_lines(path, "u.genre"):
        if "|" not in line:
            raise InputError(f"{path}: u.genre line {number} has no '|' behind the genre's name")
        genres.append(line.split("|")[0].strip())
    for number, line in _text_lines(path, "u.item"):
        fields = line.split("|")
        if len(fields) != 5 + len(genres):
            raise InputError(f"{path}: u.item line {number} has {len(fields)} fields, not {5 + len(genres)}")
        if not {*fields[5:]} <= {"0", "1"}:
            raise InputError(f"{path}: u.item line {number} has flags of genres that are neither 0 nor 1")
        yield fields[0], _film(fields[1], [name for name, flag in zip(genres, fields[5:], strict=True) if flag == "1"])


def _films_1m(path: Path) -> Iterator[tuple[str, list[str]]]:
    """movies.dat: id::title::genres."""
    for number, line in _text_lines(path, "movies.dat"):
        fields = line.split("::")
        if len(fields) < 3:
            raise InputError(f"{path}: movies.dat line {number} has {len(fields)} fields, not 3")
        yield fields[0], _film("::".join(fields[1:-1]), fields[-1].split("|"))


def _table(path: Path, name: str, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The values of these columns of a quoted CSV file, record by record; each must be there."""
    table = read_delimited(path / name, ",", Form(), member(path, name))
    header = table.frame.columns
    if not set(columns) <= set(header) or table.repeated & set(columns):
        raise InputError(f"{path}: {name} has the columns {header[:20]}, not each of {', '.join(columns)} once")
    for kind, rows in (("many", [row for row, _ in table.ragged]), ("few", table.short)):
        if rows:
            raise InputError(f"{path}: {name}, record {rows[0]:,} (header not counted) has too {kind} fields")
    yield from table.frame.select(pl.col(*columns).fill_null("")).iter_rows()


def _films_latest(path: Path) -> Iterator[tuple[str, list[str]]]:
    """movies.csv: movieId, title, genres."""
    for film, title, genres in _table(path, "movies.csv", ("movieId", "title", "genres")):
        yield film, _film(title, genres.split("|"))


def _tags(path: Path, max_tags: int) -> dict[str, str]:
    """movieId -> its most given tags, of equals the one given first; case does not distinguish tags."""
    counts: dict[str, Counter[str]] = {}
    for film, written in _table(path, "tags.csv", ("movieId", "tag")):
        if tag := plain(written).lower():
            counts.setdefault(film, Counter())[tag] += 1
    return {film: ", ".join(tag for tag, _ in tags.most_common(max_tags)) for film, tags in counts.items()}
