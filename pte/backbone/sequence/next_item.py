"""One next-item model over any causal sequence encoder: SASRec, BSARec and GRU4Rec differ in the encoder alone.

The next item is predicted at every place of a history, so the encoder must be causal: the state at a place depends on
that place and earlier ones of the same history. One item table serves as input and as output.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pte.backbone.sequence import history as reading
from pte.nn.batch import History, PackedBatch
from pte.nn.contract import Backbone, Representation
from pte.nn.kernel.chunked_scoring import products
from pte.nn.kernel.place_noise import current_at
from pte.nn.loss.base import Loss, inner
from pte.nn.loss.cross_entropy import CrossEntropy
from pte.nn.loss.negative import Exclusion
from pte.nn.noise import Noise
from pte.nn.sequence.encoder import SequenceEncoder
from pte.schema import InputError

FULL_CROSS_ENTROPY = CrossEntropy()


class NextItem(nn.Module, Backbone):
    """score_j = h . e_j (or their cosine, where the loss has it), h the state after the last item of the history.

    encoder: an nn.Module as nn/sequence/encoder describes it; loss: one of nn/loss.
    """

    def __init__(
        self,
        *,
        representation: Representation,
        num_items: int,
        length: int,
        encoder: SequenceEncoder,
        loss: Loss = FULL_CROSS_ENTROPY,
    ) -> None:
        super().__init__()
        if representation.sparse and not loss.samples:
            raise InputError(
                "representation.sparse=true saves nothing under a loss that scores every item in every step: take"
                " backbone/loss=sampled_softmax (or bce, gbce, infonce), or representation.sparse=false"
            )
        self.representation, self.num_items, self.length = representation, num_items, length
        self.objective, self.encoder = loss, encoder

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        table = self.representation.table()
        hidden = reading.states(self.encoder, self.representation, table, batch)
        position = batch.target > 0
        exclusion = (
            Exclusion.histories(batch.item, batch.segment, batch.target) if self.objective.exclude_history else None
        )
        loss = self.objective(
            hidden[position],
            table,
            batch.target[position],
            total=batch.total,
            exclusion=exclusion,
            sparse=self.representation.sparse,
            generator=current_at(position),
        )
        return {"loss": loss + reading.extras(self.encoder, self.representation, table, batch, hidden)}

    @torch.no_grad()
    def score(self, history: History, *, noise: Noise = None) -> Tensor:
        """(B, N), column j is item j+1. Nothing is drawn."""
        return inner(*self._vectors(history))

    @torch.no_grad()
    def score_parts(self, history: History, *, noise: Noise = None) -> Iterator[Tensor]:
        return products(*self._vectors(history))

    def _vectors(self, history: History) -> tuple[Tensor, Tensor]:
        """(B, D) and (N, D), whose inner products are the scores."""
        table = self.representation.table()
        return self.objective.vectors(reading.read(self.encoder, self.representation, table, history), table)
