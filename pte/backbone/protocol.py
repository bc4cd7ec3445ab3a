"""What a backbone is made on, and what it must offer: two verbs, and nobody inherits."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pte.nn.batch import History, PackedBatch


class Representation(Protocol):
    """Item vectors a backbone consumes, with their own extra loss."""

    width: int

    def table(self) -> Tensor:
        """(N+1, D), row 0 zeros."""
        ...

    def auxiliary(self) -> Tensor:
        """Scalar added to the backbone's loss."""
        ...


class Backbone(Protocol):
    """Histories in, scores out."""

    length: int  # L, the longest history it reads

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        """Contains "loss", a sum over the batch's targets divided by `batch.total`."""
        ...

    def score(self, history: History, *, generator: torch.Generator | None = None) -> Tensor:
        """(B, N), higher is better; column j is item j+1."""
        ...
