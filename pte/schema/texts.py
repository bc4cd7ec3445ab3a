"""K texts of each of n entities on disk, read one by one: a million entities take no memory.

NAME.txt holds the letters of all texts as UTF-8, one after another; NAME.ends holds int64, first K, then where each
text ends, entity by entity.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from pte.schema.error import InputError

T = TypeVar("T")


class ByPlace(Sequence[T]):
    """A sequence by `_one` and its length, which compares like a list."""

    __hash__ = None  # type: ignore[assignment]

    def _one(self, place: int) -> T:
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> list[T]: ...

    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self._one(i) for i in range(*place.indices(len(self)))]
        return self._one(range(len(self))[place])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))


class Texts(ByPlace[list[str]]):
    """What `TextWriter` wrote: of each entity its K texts."""

    def __init__(self, folder: Path, name: str) -> None:
        ends = np.memmap(folder / f"{name}.ends", np.int64, "r")
        self.ends = ends[1:].reshape(-1, int(ends[0]))  # (n, K)
        with (folder / f"{name}.txt").open("rb") as file:
            size = int(self.ends[-1, -1]) if self.ends.size else 0
            self.letters: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""

    def __len__(self) -> int:
        return len(self.ends)

    def _one(self, place: int) -> list[str]:
        ends = self.ends[place].tolist()
        starts = [int(self.ends[place - 1, -1]) if place else 0, *ends[:-1]]
        return [self.letters[a:b].decode() for a, b in zip(starts, ends, strict=True)]


class TextWriter:
    """Appends the texts of one entity after another to the files of `name` in a folder."""

    def __init__(self, folder: Path, name: str, num_candidates: int) -> None:
        self.folder, self.name, self.num_candidates = folder, name, num_candidates
        for kind in ("txt", "ends"):  # what reads the files of that name goes on reading what it had
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
        self.letters = (folder / f"{name}.txt").open("wb", buffering=1 << 20)
        self.ends = (folder / f"{name}.ends").open("wb", buffering=1 << 20)
        self.ends.write(np.int64(num_candidates).tobytes())
        self.end = 0

    def append(self, texts: Sequence[str]) -> None:
        """The texts of the next entity."""
        if len(texts) != self.num_candidates:
            raise InputError(f"the profiles of {self.name}s have different numbers of candidates: make them again")
        for text in texts:
            self.end += self.letters.write(text.encode())
            self.ends.write(np.int64(self.end).tobytes())

    def close(self) -> Texts:
        """Everything that was appended."""
        self.letters.close()
        self.ends.close()
        return Texts(self.folder, self.name)
