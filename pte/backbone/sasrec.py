"""SASRec: self-attention over the history, the next item by softmax over the whole catalogue, at every position.

Kang & McAuley, ICDM 2018 (arXiv 1808.09781), with the loss that later work found to matter most: full cross-entropy
instead of one sampled negative (Klenitskiy & Vasilev, RecSys 2023, "Turning Dross Into Gold Loss"). One item table
serves as input and as output. Departures: post-LN, GELU and a wider feed-forward part, as in BERT (see nn/attention).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pte.backbone import reading
from pte.backbone.protocol import Representation
from pte.nn.attention import Encoder
from pte.nn.batch import History, PackedBatch
from pte.nn.cross_entropy import catalogue_cross_entropy


class SASRec(nn.Module):
    """score_j = h . e_j, h the encoder's state after the last item of the history."""

    uses_text = False
    trained = True

    def __init__(
        self,
        *,
        representation: Representation,
        num_items: int,
        length: int,
        inner: int,
        layers: int,
        heads: int,
        dropout: float,
        attention_dropout: float,
        product: str,
    ) -> None:
        super().__init__()
        self.representation, self.num_items, self.length = representation, num_items, length
        self.product = getattr(torch, product)
        self.encoder = Encoder(
            width=representation.width, views=representation.views, inner=inner, layers=layers, heads=heads,
            length=length, dropout=dropout, attention_dropout=attention_dropout,
        )  # fmt: skip

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        table = self.representation.table()
        hidden = reading.states(self.encoder, self.representation, table, batch)
        asked = batch.target > 0
        loss = self.objective(hidden[asked], table, batch.target[asked], batch.total)
        return {"loss": loss + reading.extras(self.encoder, self.representation, table, batch, hidden)}

    def objective(self, hidden: Tensor, table: Tensor, target: Tensor, total: float) -> Tensor:
        """What is minimised, from states (T, D), table (N+1, D) and targets (T,) in 1..N."""
        return catalogue_cross_entropy(hidden, table, target, total=total, product_dtype=self.product)

    @torch.no_grad()
    def score(self, history: History, *, generator: torch.Generator | None = None) -> Tensor:
        """(B, N), column j is item j+1. Nothing is drawn."""
        table = self.representation.table()
        last = reading.last(self.encoder, self.representation, table, history.item, history.length)
        return last @ table[1:].T
