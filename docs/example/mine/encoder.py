"""An encoder: words hashed into a vector, no model at all."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np


class HashedWords:
    """Counts of words in `width` buckets, as unit vectors."""

    reads_ids = False  # it encodes texts

    def __init__(self, *, width: int) -> None:
        self.width = width

    def known_width(self, download: bool) -> int | None:
        """The width where it is known without loading a model."""
        return self.width

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32, unit rows; a blank text is a row of zeros."""
        vectors = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, zlib.crc32(word.encode()) % self.width] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def too_long(self, texts: list[str]) -> np.ndarray:
        """(n,) bool: which texts are cut; none is."""
        return np.zeros(len(texts), bool)

    def identity(self) -> dict[str, str]:
        """Nothing of the machine decides the vectors."""
        return {}

    def card(self) -> dict[str, Any]:
        return {"model": "hashed words", "width": self.width}
