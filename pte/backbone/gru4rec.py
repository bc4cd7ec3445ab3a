"""GRU4Rec: a recurrent network over the history (Hidasi et al., ICLR 2016, arXiv 1511.06939).

Departures: full cross-entropy at every place, as SASRec here, for the pairwise losses over a batch's other items; one
item table as input and output, for one-hot inputs and an output layer of its own.
"""

from __future__ import annotations

from pte.backbone.sequence.next_item import FULL_CROSS_ENTROPY, NextItem
from pte.nn.contract import Representation
from pte.nn.loss.base import Loss
from pte.nn.sequence.recurrent import GRUEncoder


class GRU4Rec(NextItem):
    """The next-item model over `layers` GRUs of `hidden` units."""

    def __init__(
        self,
        *,
        representation: Representation,
        num_items: int,
        length: int,
        hidden: int,
        layers: int,
        dropout: float,
        loss: Loss = FULL_CROSS_ENTROPY,
    ) -> None:
        encoder = GRUEncoder(
            width=representation.width, views=representation.views, hidden=hidden, layers=layers, dropout=dropout
        )
        super().__init__(representation=representation, num_items=num_items, length=length, encoder=encoder, loss=loss)
