"""Vectors by text, kept block by block in a folder per encoder: equal texts are encoded once, in whatever run.

A block is written whole or not at all, so a killed run loses at most the one in flight. In memory are 16 bytes a text.
"""

from __future__ import annotations

import hashlib
import uuid
import zipfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from pte.artifact import replacing

OPEN = 32  # blocks that are held open: a window's known texts lie in few
DAMAGE = (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)  # of a file whose content is none
UNKNOWN = -1


class Blocks:
    """Vectors by text in files of one folder, each written whole or not at all; found are those of `texts`."""

    def __init__(self, folder: Path, texts: Iterable[str]) -> None:
        self.folder = folder
        self.texts = np.unique(np.fromiter((prefix(text_hash(text)) for text in texts if text.strip()), np.uint64))
        self.file = np.full(len(self.texts), -1, np.int32)  # which file holds the text's vector, -1: none
        self.row = np.zeros(len(self.texts), np.int32)
        self.cut = np.full(len(self.texts), UNKNOWN, np.int8)  # 1 where the encoder cuts the text
        self.files: list[Path] = []
        self.open = lru_cache(OPEN)(self._open)
        for file in sorted(folder.glob("block-*.npz")):
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    self._note(file, arrays["hash"], arrays.get("cut", UNKNOWN))
            except OSError:  # of this moment, or another run has removed it
                continue
            except DAMAGE:
                file.unlink(missing_ok=True)  # encoded again

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_known(self) -> int:
        """How many of the texts have a vector."""
        return int((self.file >= 0).sum())

    def _note(self, file: Path, hashes: np.ndarray, cut: np.ndarray | int) -> None:
        """Which of the texts a file holds; hashes: (n, 32) uint8, cut: (n,) bool, or UNKNOWN of versions before."""
        first = hashes[:, :8].copy().view(np.uint64)[:, 0].byteswap()
        place = np.searchsorted(self.texts, first)
        row = np.flatnonzero(place < len(self.texts))
        row = row[self.texts[place[row]] == first[row]]
        self.file[place[row]], self.row[place[row]] = len(self.files), row
        self.cut[place[row]] = np.broadcast_to(cut, len(hashes))[row]
        self.files.append(file)

    def _open(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        with np.load(self.files[number], allow_pickle=False) as arrays:
            return arrays["hash"], arrays["vector"]

    def find(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """The vectors (d,) of those of these texts that have one."""
        known = {}
        for text in texts:
            hash = text_hash(text)
            place = np.searchsorted(self.texts, np.uint64(prefix(hash)))
            number, row = int(self.file[place]), int(self.row[place])
            if number < 0:
                continue
            try:
                hashes, vectors = self.open(number)
                if hashes[row].tobytes() == hash:
                    known[text] = vectors[row]
            except OSError:
                continue
            except DAMAGE:
                self.files[number].unlink(missing_ok=True)
                self.file[self.file == number] = -1
        return known

    def of_unknown_length(self, texts: Iterable[str]) -> list[str]:
        """Those of these texts of which nobody noted whether they are cut."""
        return [text for text in texts if self.cut[self._place(text)] == UNKNOWN]

    def note_cut(self, texts: list[str], cut: np.ndarray) -> None:
        """Which of these texts are cut, (n,) bool."""
        self.cut[[self._place(text) for text in texts]] = cut

    def _place(self, text: str) -> int:
        return int(np.searchsorted(self.texts, np.uint64(prefix(text_hash(text)))))

    def keep(self, texts: list[str], vectors: np.ndarray, cut: np.ndarray) -> None:
        """Add a block and push it to the disk; vectors: (n, d), cut: (n,) bool."""
        hashes = np.array([list(text_hash(text)) for text in texts], np.uint8)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"block-{uuid.uuid4().hex[:12]}.npz"
        with replacing(path) as scratch, scratch.open("wb") as file:
            np.savez(file, hash=hashes, vector=vectors, cut=cut)
        self._note(path, hashes, cut)


def text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def prefix(hash: bytes) -> int:
    return int.from_bytes(hash[:8])
