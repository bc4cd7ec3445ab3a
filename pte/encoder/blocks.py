"""Vectors by text, kept block by block in a folder per encoder: equal texts are encoded once, in whatever run.

Blocks are encoded longest texts first, so that a batch that does not fit in memory shows at once; a killed run loses at
most the block in flight.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from pte.artifact import digest
from pte.asset import knob_content
from pte.encoder.base import Encoder
from pte.schema.context import Context
from pte.schema.knob import MARKS, divided

logger = logging.getLogger(__name__)

BLOCK = 1024  # texts between two saves: some ten seconds of a CPU
TELL_SECONDS = 20.0


def folder(context: Context, encoder: Encoder) -> Path:
    """Where the vectors of this very encoder are kept, whatever run they were made in."""
    knobs, _ = divided(context.config["encoder"], lambda _: type(encoder), *MARKS)
    identity = {"knobs": knobs, "encoder": encoder.identity(), "models": knob_content({"encoder": knobs})}
    return context.work.parent.parent / "vector" / digest(identity)[:16]


class Blocks:
    """Vectors by text hash in files of one folder, each written whole or not at all; in memory those of `texts`."""

    def __init__(self, folder: Path, texts: Iterable[str]) -> None:
        self.folder = folder
        self.vectors: dict[bytes, np.ndarray] = {}
        hashes = {text_hash(text) for text in texts}
        for file in sorted(folder.glob("block-*.npz")):
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    pairs = zip(map(bytes, arrays["hash"]), arrays["vector"], strict=True)
                    self.vectors.update((key, vector) for key, vector in pairs if key in hashes)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                file.unlink()  # damaged: encoded again

    def keep(self, texts: list[str], vectors: np.ndarray) -> None:
        """Add a block and push it to the disk."""
        hashes = [text_hash(text) for text in texts]
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex[:12]
        scratch = self.folder / f".{name}.npz"
        with scratch.open("wb") as file:
            np.savez(file, hash=np.array([list(h) for h in hashes], np.uint8), vector=vectors)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.folder / f"block-{name}.npz")
        self.vectors.update(zip(hashes, vectors, strict=True))


def text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def encode(texts: Iterable[str], encoder: Encoder, blocks: Blocks) -> Callable[[str], np.ndarray]:
    """Encode every distinct text that `blocks` does not hold; the returned function gives a text's vector (d,)."""
    distinct = dict.fromkeys(text for text in texts if text.strip())
    todo = sorted((t for t in distinct if text_hash(t) not in blocks.vectors), key=lambda t: (-len(t), t))
    cached = f", {len(distinct) - len(todo):,} found" if len(todo) < len(distinct) else ""
    logger.info(f"embeddings: {len(distinct):,} distinct texts{cached}, {len(todo):,} to encode")
    letters, encoded, count = sum(map(len, todo)), 0, 0
    began = report_time = time.monotonic()
    for first in range(0, len(todo), BLOCK):
        block = todo[first : first + BLOCK]
        blocks.keep(block, encoder.encode(block))
        encoded, count, now = encoded + sum(map(len, block)), count + len(block), time.monotonic()
        if now - report_time >= TELL_SECONDS or (count == len(todo) and count > BLOCK):
            elapsed = now - began
            remaining = elapsed * (letters - encoded) / encoded
            logger.info(
                f"embeddings: {count:,} of {len(todo):,}, {count / elapsed:,.0f} texts/s, {remaining:,.0f} s left"
            )
            report_time = now
    blank = np.zeros(encoder.width, np.float32)

    def vector(text: str) -> np.ndarray:
        return blocks.vectors[text_hash(text)] if text.strip() else blank

    return vector
