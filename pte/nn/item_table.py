"""The interface of an item representation, with the defaults of a plain table.

A representation owns the item vectors and their extra losses, a backbone owns the sequence. Two methods need the
sequence as well: some representations are read in several views that attend to each other, some add a loss on the
encoder's states. The defaults here do neither; `table` alone must be written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.batch import PackedBatch
from pte.schema import InputError, require

Last = Callable[[Tensor, Tensor], Tensor]  # item (B, L) right-padded, length (B,) -> the encoder's last states (B, D)


class ItemTable(nn.Module):
    """Item vectors (N+1, D), row 0 zeros, in `views` blocks of columns that the encoder reads one by one.

    The constructor gets `num_items` and `vectors`, (N+1, d) or None.
    """

    uses_text = False  # whether `vectors` are needed
    views = 1
    sparse = False  # True: `table` is a leaf, and whoever reads rows of it sends back a gradient of these rows alone
    width: int  # D, all views together

    @property
    def free_per_item(self) -> int:
        """Trainable numbers that belong to one item alone: 0 where all that is learnt is shared by all items."""
        return 0

    def table(self) -> Tensor:
        """(N+1, D), row 0 zeros. What items are scored by."""
        raise NotImplementedError

    def inputs(self, table: Tensor) -> Tensor:
        """(N+1, D) -> (N+1, D): what the encoder reads in its place; a representation may hide rows while it trains."""
        return table

    def mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Let the views (V, R, L, D/V) read each other before they are encoded; `mask` as in `nn.attention`."""
        return x

    def observe(
        self, item: np.ndarray, begin: np.ndarray, length: np.ndarray, history: np.ndarray | None = None
    ) -> None:
        """Called once before training: training history s is item[begin[s] : begin[s] + length[s]].

        history: (W,) the history that each training sequence of a batch is a window of; None: sequence s is history s.
        """

    def auxiliary(self) -> Tensor:
        """Scalar added to the backbone's loss in every step, already weighted."""
        return torch.zeros(())

    def sequence_auxiliary(self, batch: PackedBatch, state: Tensor, last: Last) -> Tensor | None:
        """The same from the encoder's states (R, L, D); `last` encodes other histories. None where there is none."""
        return None


class FreeTable(ItemTable):
    """N trainable vectors, `weight` (N, D), which the constructor makes."""

    weight: nn.Parameter

    @property
    def free_per_item(self) -> int:
        return self.width

    def table(self) -> Tensor:
        return padded(self.weight)


def padded(rows: Tensor) -> Tensor:
    """(N, D) -> (N+1, D) with row 0 zeros, which takes no gradient."""
    return F.pad(rows, (0, 0, 1, 0))


def item_rows(vectors: Tensor | None, num_items: int, name: str) -> Tensor:
    """The text vectors of the items 1..N, (N, d) float32; InputError where there are none."""
    if vectors is None:
        raise InputError(
            f"representation={name} reads text, but no item vectors were handed to it. "
            "Run the stages before training (until=training makes them), or take representation=id."
        )
    if len(vectors) != num_items + 1:
        raise InputError(
            f"representation={name}: {len(vectors)} rows of item vectors for {num_items} items; expected one row per "
            f"item and row 0 for padding, {num_items + 1} in all."
        )
    rows = vectors[1:].detach().float()
    if not rows.is_meta and not rows.isfinite().all():
        raise InputError(f"representation={name}: the item vectors hold values that are not finite.")
    return rows


def positive(width: int) -> int:
    """`width`; InputError unless it is 1 or more."""
    require(width >= 1, "representation.width", width, "give a whole number, 1 or more")
    return width


def fitting(width: int, rows: Tensor, name: str) -> int:
    """`width`; InputError where text vectors (N, d) have fewer axes."""
    if not 1 <= width <= rows.shape[1]:
        raise InputError(
            f"representation={name} wants {width} principal axes of text vectors that have {rows.shape[1]}: "
            f"set representation.width to at most {rows.shape[1] * (2 if name == 'llm_esr' else 1)}"
        )
    return width
