"""A free vector per item, learned from interactions alone: the classic ID embedding, and the baseline to beat.

`sparse` makes a training step's cost independent of the catalogue's size: its gradient is the rows that the step read
(histories, targets, negatives) instead of a second table. It takes a sampled loss and an optimizer that leaves all
other rows alone (optimizer=sparse_adam).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pte.nn.item_table import ItemTable, positive
from pte.schema import require


class Id(ItemTable):
    """N trainable vectors, e_i ~ N(0, std^2) at the start."""

    def __init__(
        self, *, num_items: int, vectors: Tensor | None = None, width: int, std: float, sparse: bool = False
    ) -> None:
        super().__init__()
        require(std > 0, "representation.std", std, "a standard deviation is above 0")
        self.width, self.sparse = positive(width), sparse
        weight = torch.randn(num_items + 1, width).mul_(std)
        weight[0] = 0
        self.weight = nn.Parameter(weight)

    @property
    def free_per_item(self) -> int:
        return self.width

    def table(self) -> Tensor:
        """(N+1, D). Row 0 starts at zero and no loss sends it a gradient."""
        return self.weight
