"""How the vectors of a run's texts are made: found by text, encoded and stored; or by an encoder fitted to this run's.

Texts come in windows, of which each is encoded longest texts first, so that a batch that does not fit in memory shows
at once. In memory are the vectors of one window.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import tee
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pte.artifact import digest
from pte.asset import knob_content
from pte.encoder.base import CorpusEncoder, Encoder
from pte.encoder.blocks import Blocks, text_hash
from pte.encoder.hybrid import Hybrid
from pte.schema import InputError
from pte.schema.context import Context
from pte.schema.knob import MARKS, divided
from pte.schema.progress import Progress

logger = logging.getLogger(__name__)

BLOCK = 1024  # texts between two saves: some ten seconds of a CPU
WINDOW = 16 * BLOCK  # texts whose vectors are in memory


def folder(context: Context, encoder: Encoder, knobs: Mapping[str, Any]) -> Path:
    """Where the vectors of this very encoder are kept, whatever run they were made in."""
    knobs, _ = divided(knobs, lambda _: type(encoder), *MARKS)
    identity = {"knobs": knobs, "encoder": encoder.identity(), "models": knob_content({"encoder": knobs})}
    return context.work.parent.parent / "vector" / digest(identity)[:16]


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
    """Encodes what `blocks` does not hold, and says how far it is."""

    def __init__(self, encoder: Encoder, blocks: Blocks) -> None:
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
            vectors = encoded(self.encoder, block)
            self.blocks.keep(block, vectors, cut)
            known.update(zip(block, vectors, strict=True))
            self.progress.advance(len(block))
        return known


class Direct:
    """Encodes by an encoder that is fitted to this run's texts, and stores nothing for others."""

    num_cut = 0

    def __init__(self, encoder: Any, corpus: Iterable[str], texts: Iterable[str]) -> None:
        logger.info("embeddings: fitting the encoder to the texts of items")
        encoder.fit(corpus)
        self.encoder, self.num_texts = encoder, len({text_hash(text) for text in texts if text.strip()})

    def vectors(self, groups: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """As `Encoding.vectors`."""
        for window in windows(groups):
            flat = [text for group in window for text in group]
            yield encoded(self.encoder, flat).reshape(len(window), -1, self.encoder.width)


def encoded(encoder: Encoder, texts: list[str]) -> np.ndarray:
    """(n, d) float32 of n texts; InputError where a class gives vectors of another shape, or what is no number."""
    vectors, shape = encoder.encode(texts), (len(texts), encoder.width)
    if np.shape(vectors) != shape or not np.isfinite(vectors).all():
        fault = f"an array of {np.shape(vectors)}" if np.shape(vectors) != shape else "values that are not finite"
        raise InputError(f"encoder: {type(encoder).__name__}.encode gave {fault} for {shape[0]} texts: give {shape}")
    return np.asarray(vectors, np.float32)


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
