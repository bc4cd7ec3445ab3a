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

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.artifact import digest, file_sha256
from pte.dataset.events import Choice, CodedColumn, Release, core, items_table, select_rows
from pte.dataset.reader.plaintext import plain
from pte.dataset.reader.record import LAST_SECOND, locate
from pte.dataset.rules import Rules
from pte.schema import InputError, Interactions, Resolved, one_of

NAMES = {
    "100k": ("u.data", "u.item", "u.genre"),
    "1m": ("ratings.dat", "movies.dat"),
    "latest": ("ratings.csv", "movies.csv"),
}
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
            repeated += film in films
            films.setdefault(film, fields)
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
        types: dict[str, Any] = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float64, "time": pl.Int64}
        names = _rating_columns(path, name, raw) if latest else list(types)
        try:
            frame = pl.read_csv(
                raw, separator="," if latest else "\t", has_header=False,
                schema={c: types.get(c, pl.String) for c in names}, skip_rows=int(latest), ignore_errors=True,
            )  # fmt: skip
        except pl.exceptions.PolarsError as error:
            reason = "a line has too many fields" if "n_extra" in str(error) else str(error).splitlines()[0]
            raise InputError(f"{path}: {name} cannot be read: {reason}") from None
        frame = frame.select(*types)
        good = pl.all_horizontal(pl.all().is_not_null()) & pl.col("time").is_between(0, LAST_SECOND)
        bad = frame.select((good & pl.col("rating").is_finite()).fill_null(False).not_()).to_series()
        if bad.any():
            lines = raw.split(b"\n")
            numbers = [n for n in (bad.arg_true() + int(latest)).to_list() if lines[n].strip()]
            if numbers:
                raise InputError(
                    f"{path}: {name} has {len(numbers):,} malformed line(s), the first is line {numbers[0] + 1:,}"
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


def _rating_columns(path: Path, name: str, raw: bytes) -> list[str]:
    """The header of ratings.csv in its order, GroupLens' names by ours; every other column by its own."""
    columns = {"userId": "user", "movieId": "item", "rating": "rating", "timestamp": "time"}
    header = [field.strip().strip('"') for field in decoded(raw.split(b"\n", 1)[0]).strip().split(",")]
    if sorted(field for field in header if field in columns) != sorted(columns):
        raise InputError(f"{path}: {name} has the columns {header[:20]}, not each of {', '.join(columns)} once")
    return [columns.get(field, f"{field} {number}") for number, field in enumerate(header)]


def _codes(ids: pl.Series) -> CodedColumn:
    values, code = np.unique(ids.to_numpy(), return_inverse=True)
    return CodedColumn([str(value) for value in values], code.astype(np.int32))


def _inside(folder: Path, name: str) -> Path:
    paths = sorted(folder.rglob(name))
    if not paths:
        raise InputError(f"{folder} holds no {name}. Give the folder that GroupLens' zip unpacks to, or the zip")
    return paths[0]


def member(path: Path, name: str) -> bytes:
    """A file of the zip or the folder, wherever inside it lies."""
    if path.is_dir():
        return _inside(path, name).read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.namelist() if entry.rsplit("/", 1)[-1] == name]
            if not entries:
                raise InputError(f"{path} holds no {name}: is it the right zip for this layout?")
            return archive.read(entries[0])
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is no whole zip file ({error}). Fetch it again") from None


def split_year(title: str) -> tuple[str, str]:
    """ "Toy Story (1995)" -> "Toy Story", "1995"; without a year ""."""
    match = _YEAR.match(title)
    return (match[1], match[2]) if match and match[1] else (title, "")


def _film(title: str, genres: list[str]) -> list[str]:
    """Title, genres, year as plain text."""
    name, year = split_year(plain(title))
    return ["" if name == "unknown" else name, ", ".join(genre for genre in genres if genre not in NO_GENRE), year]


def decoded(raw: bytes) -> str:
    """UTF-8 where it is, with or without a byte order mark, else Latin-1, as GroupLens wrote its older sets."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _text_lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank. Split at line feeds only: str.splitlines breaks at Latin-1's \\x85 too."""
    for number, line in enumerate(decoded(member(path, name)).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _films_100k(path: Path) -> Iterator[tuple[str, list[str]]]:
    """u.item: id | title | release | video release | URL | one flag per genre."""
    names = [line.split("|")[0] for _, line in _text_lines(path, "u.genre")]
    for number, line in _text_lines(path, "u.item"):
        fields = line.split("|")
        if len(fields) != 5 + len(names):
            raise InputError(f"{path}: u.item line {number} has {len(fields)} fields, not {5 + len(names)}")
        genres = [name for name, flag in zip(names, fields[5:], strict=True) if flag == "1"]
        yield fields[0], _film(fields[1], genres)


def _films_1m(path: Path) -> Iterator[tuple[str, list[str]]]:
    """movies.dat: id::title::genres."""
    for number, line in _text_lines(path, "movies.dat"):
        fields = line.split("::")
        if len(fields) < 3:
            raise InputError(f"{path}: movies.dat line {number} has {len(fields)} fields, not 3")
        yield fields[0], _film("::".join(fields[1:-1]), fields[-1].split("|"))


def _table(path: Path, name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """A quoted CSV file with a header that must have these columns."""
    reader = csv.DictReader(io.StringIO(decoded(member(path, name)), newline=""))
    if not set(columns) <= set(reader.fieldnames or ()):
        raise InputError(f"{path}: {name} has the columns {reader.fieldnames}, not {', '.join(columns)}")
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path}: {name}, line {reader.line_num:,} cannot be read ({error})") from None
    for number, row in enumerate(rows, 1):
        if None in row or any(row[c] is None for c in columns):
            many = "many" if None in row else "few"
            raise InputError(f"{path}: {name}, record {number} (header not counted) has too {many} fields")
    return rows


def _films_latest(path: Path) -> Iterator[tuple[str, list[str]]]:
    """movies.csv: movieId, title, genres."""
    for row in _table(path, "movies.csv", ("movieId", "title", "genres")):
        yield row["movieId"], _film(row["title"], row["genres"].split("|"))


def _tags(path: Path, max_tags: int) -> dict[str, str]:
    """movieId -> its most given tags, of equals the one given first; case does not distinguish tags."""
    counts: dict[str, Counter[str]] = {}
    for row in _table(path, "tags.csv", ("movieId", "tag")):
        if tag := plain(row["tag"]).lower():
            counts.setdefault(row["movieId"], Counter())[tag] += 1
    return {film: ", ".join(tag for tag, _ in tags.most_common(max_tags)) for film, tags in counts.items()}
