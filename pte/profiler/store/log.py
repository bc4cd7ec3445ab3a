"""Generations by content key, kept as they arrive: a killed writer loses at most the batch in flight.

    FOLDER/<model>/model.json    what the generations of this folder have in common: model, revision, decoding
    FOLDER/<model>/*.jsonl       journals: what is at work appends to one of its own, and pushes it to the disk
    FOLDER/<model>/*.parquet     shards: journals closed in one step, one row per generation, never changed
    FOLDER/*.jsonl               journals of versions before, in which models are mixed: read when a key is not found

Only the files of the model at hand are opened. Who writes holds the model's lock, and so nothing is made twice; who
holds it also closes the journals of killed writers, and merges small shards into a large one. Readers need no lock: a
file that has gone lies merged in another one.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.artifact import acquire, digest, write_atomic
from pte.profiler.store.shard import DAMAGE, Journal, Row, Shard, prefix, table, write

logger = logging.getLogger(__name__)

CLOSED = 8192  # rows at which a journal becomes a shard
MERGED = 65_536  # rows from which a shard is left as it is
FEW = 16  # smaller shards that may lie beside one another
TRIES = 10  # at files that are merged while they are read


class RecordLog:
    """The generations of all models in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def of(self, identity: Mapping[str, Any]) -> Records:
        """Those of one model, which is opened at the first question."""
        return Records(self.folder / digest(identity)[:16], identity, lambda: self.older)

    @cached_property
    def older(self) -> list[Journal]:
        """What versions before wrote."""
        return [Journal(path) for path in sorted(self.folder.glob("*.jsonl"))]

    def __len__(self) -> int:
        folders = {path.parent for kind in ("parquet", "jsonl") for path in self.folder.glob(f"*/*.{kind}")}
        return sum(len(Records(folder, {}, list)) for folder in folders)


class Records:
    """The generations of one model."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], older: Callable[[], Sequence[Journal]]) -> None:
        self.folder, self.identity, self.older = folder, identity, older
        self._files: dict[Path, Shard | Journal] | None = None
        self._journal: Path | None = None  # one's own, once there is something in it

    @property
    def files(self) -> dict[Path, Shard | Journal]:
        """Shards first, then journals, as they were when last looked at."""
        if self._files is None:
            self._look()
        assert self._files is not None
        return self._files

    def _look(self) -> None:
        """Learn what others wrote, and forget what was merged; once more where files came or went meanwhile."""
        paths: list[Path] | None = None
        while paths != (paths := self._paths()):
            self._open(paths)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet")) + sorted(self.folder.glob("*.jsonl"))

    def _open(self, paths: Sequence[Path]) -> None:
        before, self._files = self._files or {}, {}
        for path in paths:
            file = before.get(path)
            try:
                if file is None:
                    file = Shard(path) if path.suffix == ".parquet" else Journal(path)
                elif isinstance(file, Journal):
                    file.read()
            except FileNotFoundError:  # closed or merged this very moment: its rows are in a newer file
                continue
            except DAMAGE:
                self._forget(path)
                continue
            self._files[path] = file

    def __len__(self) -> int:
        return len(set().union(*(file.prefixes() for file in self.files.values())))

    def find(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows of those of these keys that are known; of equal ones the first."""
        left = list(dict.fromkeys(keys))
        for _ in range(TRIES):
            try:
                return self._find(left)
            except FileNotFoundError:  # merged meanwhile
                self._look()
        return self._find(left)

    def _find(self, left: list[str]) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        for file in self._sources() if left else ():
            holds = file.holds(np.array([prefix(key) for key in left], np.uint64))
            if holds.any():
                try:
                    for row in file.rows(key for key, here in zip(left, holds, strict=True) if here):
                        rows.setdefault(row["key"], row)
                except DAMAGE:
                    self._forget(file.path)
                left = [key for key in left if key not in rows]
            if not left:
                break
        return rows

    def _forget(self, path: Path) -> None:
        """A damaged shard: it is left where it lies."""
        logger.warning(f"{path} cannot be read: its generations will be requested again")
        self.files.pop(path, None)

    def _sources(self) -> Iterator[Shard | Journal]:
        yield from list(self.files.values())
        yield from self.older()

    def extend(self, rows: Iterable[Row]) -> None:
        """Append rows of new keys to the journal, all or none, and push them to the disk before returning."""
        journal = self.files.get(self._journal) if self._journal else None
        rows = list(rows)
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._journal is None or journal is None:  # a closed one's name is not used again: readers know it
            self._journal = self.folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        line = json.dumps(rows, ensure_ascii=True) + "\n"
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if not isinstance(journal, Journal):
            journal = self.files[self._journal] = Journal(self._journal)
        else:
            journal.note(rows, len(line))
        if len(journal) >= CLOSED:
            self._close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """While nobody else writes generations of this model; then theirs are known. A lock ends with its process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            acquire(descriptor, "waiting: another run is asking the same model, and its answers serve this one too")
            if not (self.folder / "model.json").is_file():
                write_atomic(self.folder / "model.json", json.dumps(self.identity, indent=1, default=str))
            self._look()
            yield
            self._close()
            self._merge()
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        """Journals become a shard; under the lock alone, so that no line is lost."""
        journals = [file for file in self.files.values() if isinstance(file, Journal)]
        frame = pl.concat([table([]), *(journal.frame() for journal in journals)])
        common = {name: json.dumps(self.identity.get(name), default=str) for name in ("model", "decoding")}
        self._replace(journals, frame.with_columns(**{name: pl.lit(text) for name, text in common.items()}))

    def _merge(self) -> None:
        """Small shards become a large one, where there are many."""
        small = [file for file in self.files.values() if isinstance(file, Shard) and len(file) < MERGED]
        if len(small) > FEW:
            size = np.cumsum([len(shard) for shard in small])
            some = small[: max(2, int((size <= 2 * MERGED).sum()))]
            frames = []
            for shard in some:
                try:
                    frames.append((shard, shard.frame()))
                except DAMAGE:
                    self._forget(shard.path)
            if frames:
                self._replace([shard for shard, _ in frames], pl.concat([frame for _, frame in frames]))

    def _replace(self, old: Sequence[Shard | Journal], frame: pl.DataFrame) -> None:
        """One shard for these files: for a moment the rows are there twice, and at no time missing."""
        for file in old:
            del self.files[file.path]
        frame = frame.unique("key", keep="first", maintain_order=True)
        prefixes = np.array([prefix(key) for key in frame["key"]], np.uint64)
        twice = [file.holds(prefixes) for file in self.files.values()]  # of a writer killed right here
        frame = frame.filter(~np.any([np.zeros(len(frame), bool), *twice], axis=0))
        if len(frame):
            shard = write(frame, self.folder)
            self.files[shard.path] = shard
        for file in old:
            if file.path not in self.files:  # the new one's name is its content's: it may be that of an old one
                file.path.unlink(missing_ok=True)
