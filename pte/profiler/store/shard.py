"""The two kinds of files a generation lies in: a journal that grows, and a Parquet shard that is written once.

Of either only the first 64 bits of every key are held in memory; rows are read on request. A shard's name is the
beginning of its sha256, so that a damaged one is known.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.artifact import file_sha256, replacing

SCHEMA = {
    "key": pl.String, "side": pl.String, "entity": pl.Int64, "round": pl.Int64, "candidate": pl.Int64,
    "prompt": pl.String, "model": pl.String, "decoding": pl.String, "temperature": pl.Float64,
    "completion": pl.String, "finish": pl.String, "tokens": pl.Int64, "prompt_tokens": pl.Int64, "detail": pl.String,
}  # fmt: skip
Row = dict[str, Any]  # of these columns; "key" is there always
PREFIX = 16  # hex digits of a key that are held in memory
NAME = 32  # hex digits of a shard's sha256 that are its name; versions before named them by 12 random ones
DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, KeyError)  # of a shard, to be caught


def prefix(key: str) -> int:
    return int(key[:PREFIX], 16)


class Shard:
    """A Parquet file of rows; damaged ones raise one of DAMAGE when they are opened or read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if len(path.stem) == NAME and not file_sha256(path).startswith(path.stem):
            raise ValueError(f"{path} is damaged")
        keys = pl.read_parquet(path, columns=["key"])["key"]
        self.prefix = np.sort(np.array([prefix(key) for key in keys], np.uint64))

    def __len__(self) -> int:
        return len(self.prefix)

    def prefixes(self) -> list[int]:
        prefixes: list[int] = self.prefix.tolist()
        return prefixes

    def holds(self, prefixes: np.ndarray) -> np.ndarray:
        """(n,) bool: whether a row's key begins so; prefixes (n,) uint64."""
        place = np.minimum(np.searchsorted(self.prefix, prefixes), len(self.prefix) - 1)
        return self.prefix[place] == prefixes if len(self.prefix) else np.zeros(len(prefixes), bool)

    def rows(self, keys: Iterable[str]) -> Iterator[Row]:
        """The rows of these keys; FileNotFoundError where the file was merged into another one."""
        some = pl.Series(list(keys), dtype=pl.String).implode()
        yield from pl.scan_parquet(self.path).filter(pl.col("key").is_in(some)).collect().iter_rows(named=True)

    def frame(self) -> pl.DataFrame:
        return pl.read_parquet(self.path)


class Journal:
    """JSON lines that a writer appends, a line for what came together: a list of rows, or one row.

    What does not parse (a writer was killed) is no row: what came together is kept as a whole or not at all, so that a
    batch is made anew in the company it had, on which the rounding of its arithmetic depends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[int, int] = {}  # where the line of a key begins, by the key's prefix
        self.size = 0  # bytes read so far
        self.read()

    def __len__(self) -> int:
        return len(self.places)

    def prefixes(self) -> list[int]:
        return list(self.places)

    def read(self) -> None:
        """Take in what was appended since; a last line without its end may still grow."""
        with self.path.open("rb") as file:
            file.seek(self.size)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.note(parsed(line), len(line))

    def note(self, rows: Iterable[Row], length: int) -> None:
        """Where the rows of the next line are, which has so many bytes."""
        for row in rows:
            self.places.setdefault(prefix(row["key"]), self.size)
        self.size += length

    def holds(self, prefixes: np.ndarray) -> np.ndarray:
        """(n,) bool, as `Shard.holds`."""
        return np.fromiter((int(p) in self.places for p in prefixes), bool, len(prefixes))

    def rows(self, keys: Iterable[str]) -> Iterator[Row]:
        """The rows of these keys."""
        keys_at: dict[int, list[str]] = {}
        for key in keys:
            if (place := self.places.get(prefix(key))) is not None:
                keys_at.setdefault(place, []).append(key)
        with self.path.open("rb") as file:
            for place, some in keys_at.items():
                file.seek(place)
                known = {row["key"]: row for row in reversed(parsed(file.readline()))}  # of equal ones the first
                yield from (known[key] for key in some if key in known)

    def frame(self) -> pl.DataFrame:
        """All rows in the columns of a shard."""
        with self.path.open("rb") as file:
            return table(row for line in file for row in parsed(line))


def parsed(line: bytes) -> list[Row]:
    """Rows of a line of the journal, none where it holds none; half a character, which no Parquet holds, as ?."""
    try:
        value = json.loads(line)
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            int(row["key"][:PREFIX], 16)
    except (ValueError, KeyError, TypeError):
        return []
    return [
        {k: v.encode(errors="replace").decode() if isinstance(v, str) else v for k, v in row.items()} for row in rows
    ]


def table(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a frame; what a row lacks is null."""
    return pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in rows], schema=SCHEMA, orient="row")


def write(frame: pl.DataFrame, folder: Path) -> Shard:
    """A new shard, there as a whole or not at all."""
    content = io.BytesIO()
    frame.write_parquet(content)
    path = folder / f"{hashlib.sha256(content.getbuffer()).hexdigest()[:NAME]}.parquet"
    with replacing(path) as scratch:
        scratch.write_bytes(content.getbuffer())
    return Shard(path)
