"""A language model's vectors and those of counted words side by side: dense and lexical retrieval in one space.

    v_i = [d_i, w t_i] / |[d_i, w t_i]|,     d: `dense`, t: `lexical`, both of unit length

A sentence encoder sees what words mean and blurs which they are; TF-IDF distinguishes names and knows no synonyms.
Cosines of v are weighted means of the two cosines, 1 : w^2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pte.encoder.base import Encoder
from pte.schema import require


class Hybrid:
    """Two encoders of the same texts, each fitted and stored in its own way (source.py)."""

    reads_ids = False

    def __init__(self, *, dense: Encoder, lexical: Encoder, lexical_weight: float) -> None:
        require(lexical_weight > 0, "encoder.lexical_weight", lexical_weight, "give a number above 0")
        self.parts, self.lexical_weight = {"dense": dense, "lexical": lexical}, lexical_weight

    @property
    def width(self) -> int:
        """d, of both."""
        return sum(part.width for part in self.parts.values())

    def known_width(self, download: bool) -> int | None:
        """d, or None where a part's is not stated."""
        known = [part.known_width(download) for part in self.parts.values()]
        return None if None in known else sum(width for width in known if width is not None)

    def identity(self) -> dict[str, str]:
        return {f"{name}.{key}": value for name, part in self.parts.items() for key, value in part.identity().items()}

    def join(self, dense: np.ndarray, lexical: np.ndarray) -> np.ndarray:
        """(..., d1) and (..., d2) -> (..., d1 + d2) float32: unit rows, zeros where both are."""
        both: np.ndarray = np.concatenate([dense, np.float32(self.lexical_weight) * lexical], axis=-1)
        both /= np.maximum(np.linalg.norm(both, axis=-1, keepdims=True), 1e-12)
        return both

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32, as `join`."""
        return self.join(*(part.encode(texts) for part in self.parts.values()))

    def too_long(self, texts: list[str]) -> np.ndarray:
        """(n,) bool: which a part cuts."""
        cut: np.ndarray = np.any([part.too_long(texts) for part in self.parts.values()], axis=0)
        return cut

    def card(self) -> dict[str, Any]:
        """The parts' cards; what is read of a single encoder (dtype, device, limit) is the dense part's."""
        cards = {name: part.card() for name, part in self.parts.items()}
        model = " + ".join(str(card["model"]) for card in cards.values())
        return {**cards["dense"], "model": model, "width": self.width, "lexical_weight": self.lexical_weight, **cards}
