"""What a backbone is made on, and what it offers: `loss` and `score`, or `fit` and `score`, are its own to write; who
inherits `Backbone` has the rest answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pte.nn.batch import History, PackedBatch
from pte.nn.item_table import Last
from pte.nn.kernel.chunked_scoring import by_parts
from pte.nn.noise import Noise


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
    """Histories in, scores out. Inherited beside nn.Module: class Mine(nn.Module, Backbone)."""

    num_items: int  # N
    length: int  # L, the longest history it reads
    uses_text: bool = False  # whether it reads text vectors by itself, whatever its representation does
    trained: bool = True  # False: counted by `fit` from the training sequences, and without a loss
    stacked: bool = False  # True: experts under gates, fitted on rows held out from training (train/fusion)

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        """Contains "loss", a sum over the batch's targets divided by `batch.total`. Of a trained backbone."""
        raise NotImplementedError(f"{type(self).__name__} has no loss")

    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N), higher is better; column j is item j+1."""
        ...

    def score_parts(self, history: History, *, noise: Noise = None) -> Iterator[Tensor]:
        """The rows of `score`, (b, N) of the next few histories at a time. One that shares work between histories has
        its own; a part may lie where the last one lay: it is used before the next is requested.
        """
        return by_parts(self.score, self.num_items, history, noise)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first. Of a counted backbone."""
        raise NotImplementedError(f"{type(self).__name__} is not counted")

    @classmethod
    def reads_users(cls, knobs: Mapping[str, Any]) -> bool:
        """Whether one of these knobs reads users' text vectors, which are encoded for that reader alone."""
        return False

    def attach(self, item: Tensor | None, user: Tensor | None) -> None:
        """See text vectors of items (N+1, D), row 0 for padding, and users (U, D), before it is moved to a device."""
