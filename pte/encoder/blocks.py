"""Vectors by text, kept block by block in a folder per encoder: equal texts are encoded once, in whatever run.

Texts come in windows, of which each is encoded longest texts first, so that a batch that does not fit in memory shows
at once; a killed run loses at most the block in flight. In memory are the vectors of one window, and of every other
text 16 bytes.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import tee
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pte.artifact import digest, replacing
from pte.asset import knob_content
from pte.encoder.base import CorpusEncoder, Encoder
from pte.encoder.hybrid import Hybrid
from pte.schema import InputError
from pte.schema.context import Context
from pte.schema.knob import MARKS, divided
from pte.schema.progress import Progress

logger = logging.getLogger(__name__)

BLOCK = 1024  # texts between two saves: some ten seconds of a CPU
WINDOW = 16 * BLOCK  # texts whose vectors are in memory
OPEN = 32  # blocks that are held open: a window's known texts lie in few
DAMAGE = (ValueError, KeyError, EOFError, zipfile.BadZipFile)  # of a file whose content is none
UNKNOWN = -1


def folder(context: Context, encoder: Encoder, knobs: Mapping[str, Any]) -> Path:
    """Where the vectors of this very encoder are kept, whatever run they were made in."""
    knobs, _ = divided(knobs, lambda _: type(encoder), *MARKS)
    identity = {"knobs": knobs, "encoder": encoder.identity(), "models": knob_content({"encoder": knobs})}
    return context.work.parent.parent / "vector" / digest(identity)[:16]


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


class VectorSource(Protocol):
    """What makes the vectors of a run's texts."""

    num_texts: int  # distinct ones

    @property
    def num_cut(self) -> int:
        """How many of the distinct texts are longer than the encoder reads."""
        ...

    def vectors(self, groups: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """The vectors of groups of K texts, (some, K, d) at a time; a blank text's is zero."""
        ...


class Encoding:
    """VectorSource what `blocks` does not hold, and says how far it is."""

    def __init__(self, encoder: Encoder, blocks: Blocks) -> None:
        if not hasattr(encoder, "too_long"):
            raise InputError(
                f"encoder: {type(encoder).__name__} does not say by too_long(texts) which texts it cuts;"
                " docs/own_classes.md lists what each class must offer"
            )
        self.encoder, self.blocks = encoder, blocks
        self.num_texts = len(blocks)
        todo = len(blocks) - blocks.num_known
        self.progress = Progress(logger, "embeddings", "texts", todo)
        old = f", {blocks.num_known:,} found" if blocks.num_known else ""
        logger.info(f"embeddings: {len(blocks):,} distinct texts{old}, {todo:,} to encode")

    def vectors(self, groups: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """The vectors of groups of K texts, (some, K, d) at a time; a blank text's is zero."""
        blank = np.zeros(self.encoder.width, np.float32)
        for window in windows(groups):
            known = self._window(dict.fromkeys(text for group in window for text in group if text.strip()))
            yield np.array([[known.get(text, blank) for text in group] for group in window], np.float32)

    @property
    def num_cut(self) -> int:
        """How many of the distinct texts are longer than the encoder reads, found ones too."""
        return int((self.blocks.cut == 1).sum())

    def _window(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        known = self.blocks.find(texts)
        if unknown := self.blocks.of_unknown_length(known):
            self.blocks.note_cut(unknown, self.encoder.too_long(unknown))
        todo = sorted((text for text in texts if text not in known), key=lambda text: (-len(text), text))
        for first in range(0, len(todo), BLOCK):
            block = todo[first : first + BLOCK]
            cut = self.encoder.too_long(block)
            vectors = self.encoder.encode(block)
            self.blocks.keep(block, vectors, cut)
            known.update(zip(block, vectors, strict=True))
            self.progress.advance(len(block))
        return known


class Direct:
    """VectorSource by an encoder that was fitted to this run's texts, and keeps nothing for others."""

    num_cut = 0

    def __init__(self, encoder: Any, corpus: Iterable[str], texts: Iterable[str]) -> None:
        logger.info("embeddings: fitting the encoder to the texts of items")
        encoder.fit(corpus)
        self.encoder, self.num_texts = encoder, len({text_hash(text) for text in texts if text.strip()})

    def vectors(self, groups: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """As `Encoding.vectors`."""
        for window in windows(groups):
            flat = [text for group in window for text in group]
            yield self.encoder.encode(flat).reshape(len(window), -1, self.encoder.width)


class Concatenation:
    """The parts of a Hybrid, each encoded in its own way."""

    def __init__(self, encoder: Hybrid, parts: Sequence[VectorSource]) -> None:
        self.join, self.parts, self.num_texts = encoder.join, parts, parts[0].num_texts

    @property
    def num_cut(self) -> int:
        return max(part.num_cut for part in self.parts)

    def vectors(self, groups: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """As `Encoding.vectors`."""
        streams = tee(groups, len(self.parts))
        yield from map(self.join, *(part.vectors(stream) for part, stream in zip(self.parts, streams, strict=True)))


def corpus(item: Iterable[Sequence[str]], metadata: Iterable[str]) -> Iterator[str]:
    """What an encoder is fitted to, where it is: all candidate texts of items 1..N, and their metadata."""
    yield from (text for group in item for text in group)
    yield from metadata


def encoding(
    context: Context, encoder: Encoder, corpus: Callable[[], Iterable[str]], texts: Callable[[], Iterable[str]],
    knobs: Mapping[str, Any] | None = None,
) -> VectorSource:  # fmt: skip
    """How this encoder's vectors of `texts` are made. corpus: what a CorpusEncoder is fitted to; knobs: its own."""
    knobs = context.config["encoder"] if knobs is None else knobs
    if isinstance(encoder, Hybrid):
        parts = [encoding(context, part, corpus, texts, knobs[name]) for name, part in encoder.parts.items()]
        return Concatenation(encoder, parts)
    if isinstance(encoder, CorpusEncoder):
        return Direct(encoder, corpus(), texts())
    return Encoding(encoder, Blocks(folder(context, encoder, knobs), texts()))


def windows(groups: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Groups of texts, hardly more than WINDOW texts at a time."""
    window: list[Sequence[str]] = []
    size = 0
    for group in groups:
        window.append(group)
        size += len(group)
        if size >= WINDOW:
            yield window
            window, size = [], 0
    if window:
        yield window
