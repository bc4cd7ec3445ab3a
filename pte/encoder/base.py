"""What every text encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np


class Encoder(Protocol):
    """Text -> unit vectors."""

    reads_ids: bool  # False; True of ImportedVectors, which has vectors by item id instead of `encode`

    @property
    def width(self) -> int:
        """d; may load the model."""
        ...

    def known_width(self, download: bool) -> int | None:
        """d without loading weights; None where it is not stated. download: configuration files may be fetched."""
        ...

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32 with unit rows; a blank text is a row of zeros. InputError for what cannot be encoded."""
        ...

    def too_long(self, texts: list[str]) -> np.ndarray:
        """(n,) bool: which texts are cut, for they have more tokens than the model reads."""
        ...

    def identity(self) -> dict[str, str]:
        """What decides the vectors beside the knobs, on this machine (dtype): part of keys. Loads nothing."""
        ...

    def card(self) -> dict[str, Any]:
        """Model, dtype, device, token limit ... for the artefact's facts.json."""
        ...


class CorpusEncoder(ABC):
    """To inherit by an encoder whose vectors depend on the texts it is fitted to: none is shared between runs."""

    @abstractmethod
    def fit(self, corpus: Iterable[str]) -> None:
        """Called once before `encode`, with the texts of items: all candidates' and the plain metadata."""
