"""SASRec: self-attention over the history, the next item predicted at every position.

Kang & McAuley, ICDM 2018 (arXiv 1808.09781), with the loss that later work found to matter most: full cross-entropy
instead of one sampled negative (Klenitskiy & Vasilev, RecSys 2023, "Turning Dross Into Gold Loss"); nn/loss has that
one and others, each of which scores as it trains. One item table serves as input and as output. Departures: post-LN,
GELU and a wider feed-forward part, as in BERT (see nn/sequence/attention).
"""

from __future__ import annotations

from collections.abc import Callable

from pte.backbone.sequence.next_item import FULL_CROSS_ENTROPY, NextItem
from pte.nn.contract import Representation
from pte.nn.loss.base import Loss
from pte.nn.sequence.attention import Block, Encoder


class SASRec(NextItem):
    """The next-item model over a causal transformer; block: what makes one layer of it."""

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
        loss: Loss = FULL_CROSS_ENTROPY,
        block: Callable[..., Block] = Block,
    ) -> None:
        encoder = Encoder(
            width=representation.width, views=representation.views, inner=inner, layers=layers, heads=heads,
            length=length, dropout=dropout, attention_dropout=attention_dropout, block=block,
        )  # fmt: skip
        super().__init__(representation=representation, num_items=num_items, length=length, encoder=encoder, loss=loss)
