"""What every text encoder offers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Encoder(Protocol):
    """Text -> unit vectors."""

    reads_ids: bool  # False; True of ImportedVectors, which has vectors by item id instead of `encode`

    @property
    def width(self) -> int: ...  # d

    def known_width(self, download: bool) -> int | None: ...  # d, loading no weights; None where it is not stated

    def encode(self, texts: list[str]) -> np.ndarray: ...  # (n, d) float32, unit rows; a blank text is a row of zeros

    def identity(self) -> dict[str, str]: ...  # what of the machine decides the vectors (dtype); loads nothing

    def card(self) -> dict[str, Any]: ...  # what was used, for the record: model, dtype, device, token limit
