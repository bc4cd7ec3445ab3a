"""MoRec: frozen text vectors through one dense layer, in place of IDs.

Yuan et al., SIGIR 2023 ("Where to Go Next for Recommender Systems?"), as adapted by AlphaFuse: e_i = GELU(W L_i + b).
Departures: the paper trains the text encoder with the recommender, here (as in AlphaFuse) the vectors are frozen.
GELU last, which is the paper's own, leaves no coordinate below -.17: all items lie in nearly one quadrant.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.item_table import ItemTable, item_rows, padded, positive


class MoRec(ItemTable):
    """GELU(Linear(L)); nothing belongs to one item alone."""

    uses_text = True
    text: Tensor

    def __init__(self, *, num_items: int, vectors: Tensor | None, width: int) -> None:
        super().__init__()
        rows = item_rows(vectors, num_items, "morec")
        self.width = positive(width)
        self.register_buffer("text", rows, persistent=False)
        self.dense = nn.Linear(rows.shape[1], width)

    def table(self) -> Tensor:
        return padded(F.gelu(self.dense(self.text)))
