"""SASRec: self-attention over the history, the next item asked for at every position.

Kang & McAuley, ICDM 2018 (arXiv 1808.09781), with the loss that later work found to matter most: full cross-entropy
instead of one sampled negative (Klenitskiy & Vasilev, RecSys 2023, "Turning Dross Into Gold Loss"); nn/loss has that
one and others, each of which scores as it trains. One item table serves as input and as output. Departures: post-LN,
GELU and a wider feed-forward part, as in BERT (see nn/attention).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pte.backbone import history as reading
from pte.nn.attention import Encoder
from pte.nn.batch import History, PackedBatch
from pte.nn.contract import Representation
from pte.nn.kernel.chunked_scoring import products
from pte.nn.loss.catalogue import inner
from pte.nn.loss.negative import Met
from pte.nn.loss.objective import objective
from pte.nn.noise import Source


class SASRec(nn.Module):
    """score_j = h . e_j (or their cosine, where the loss has it), h the state after the last item of the history."""

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
        loss: str = "ce",
        loss_knobs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.representation, self.num_items, self.length = representation, num_items, length
        self.objective = objective(
            loss, product=getattr(torch, product), sparse=representation.sparse, **(loss_knobs or {})
        )
        self.encoder = Encoder(
            width=representation.width, views=representation.views, inner=inner, layers=layers, heads=heads,
            length=length, dropout=dropout, attention_dropout=attention_dropout,
        )  # fmt: skip

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        table = self.representation.table()
        hidden = reading.states(self.encoder, self.representation, table, batch)
        asked = batch.target > 0
        met = Met.histories(batch.item, batch.segment, batch.target) if self.objective.excludes_history else None
        loss = self.objective(hidden[asked], table, batch.target[asked], total=batch.total, met=met)
        return {"loss": loss + reading.extras(self.encoder, self.representation, table, batch, hidden)}

    @torch.no_grad()
    def score(self, history: History, *, noise: Source = None) -> Tensor:
        """(B, N), column j is item j+1. Nothing is drawn."""
        return inner(*self._vectors(history))

    @torch.no_grad()
    def score_parts(self, history: History, *, noise: Source = None) -> Iterator[Tensor]:
        return products(*self._vectors(history))

    def _vectors(self, history: History) -> tuple[Tensor, Tensor]:
        """(B, D) and (N, D), whose inner products are the scores."""
        table = self.representation.table()
        return self.objective.vectors(reading.read(self.encoder, self.representation, table, history), table)
