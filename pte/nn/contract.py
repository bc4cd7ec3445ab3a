"""What a backbone is made on, and what it must offer: two verbs, and nobody inherits.

One that shares work between histories may score them in parts as well (see nn/kernel/chunked_scoring):

    score_parts(history, *, noise) -> Iterator[Tensor]    the rows of `score`, the next few histories at a time

A part may lie where the last one lay: it is used before the next is requested.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from pte.nn.batch import History, PackedBatch
from pte.nn.item_table import Last
from pte.nn.noise import Source


class Representation(Protocol):
    """Item vectors a backbone consumes, with their own extra losses; `nn.item_table` says what each is for."""

    width: int
    views: int
    sparse: bool

    def table(self) -> Tensor: ...

    def inputs(self, table: Tensor) -> Tensor: ...

    def mix(self, x: Tensor, mask: Tensor | None) -> Tensor: ...

    def auxiliary(self) -> Tensor: ...

    def sequence_auxiliary(self, batch: PackedBatch, state: Tensor, last: Last) -> Tensor | None: ...


class Backbone(Protocol):
    """Histories in, scores out."""

    length: int  # L, the longest history it reads
    trained: bool  # False: counted by `fit(item, start)` from the training sequences, and without a loss

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        """Contains "loss", a sum over the batch's targets divided by `batch.total`."""
        ...

    def score(self, history: History, *, noise: Source = None) -> Tensor:
        """(B, N), higher is better; column j is item j+1."""
        ...
