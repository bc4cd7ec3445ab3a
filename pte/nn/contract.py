"""The contracts of an item representation and of a backbone.

A trained backbone writes `loss` and `score`, a counted one `fit` and `score`; the rest has defaults in `Backbone`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pte.nn.batch import History, PackedBatch
from pte.nn.item_table import ItemTable
from pte.nn.kernel.chunked_scoring import by_parts
from pte.nn.noise import Noise

Representation = ItemTable  # what a backbone consumes; a class of one's own inherits it and writes `table`


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
        """The rows of `score`, (b, N) of the next few histories at a time. Override it where histories share work. A
        part may reuse the memory of the last one: read it before requesting the next.
        """
        return by_parts(self.score, self.num_items, history, noise)

    def fit(self, item: np.ndarray, start: np.ndarray) -> None:
        """Count training sequences: sequence s is item[start[s]:start[s+1]], oldest first. Of a counted backbone."""
        raise NotImplementedError(f"{type(self).__name__} is not counted")

    @classmethod
    def trains_reader(cls, knobs: Mapping[str, Any]) -> bool:
        """Whether one of these knobs, `reader`, is a backbone that is trained in a stage of its own, before it."""
        return False

    @classmethod
    def reads_users(cls, knobs: Mapping[str, Any]) -> bool:
        """Whether a backbone with these knobs needs users' text vectors; they are encoded only then."""
        return False

    def attach(self, item: Tensor | None, user: Tensor | None) -> None:
        """Receive text vectors of items (N+1, D), row 0 for padding, and users (U, D), on the CPU; None where none are.

        Called once, after construction and before the backbone is moved to its device.
        """
