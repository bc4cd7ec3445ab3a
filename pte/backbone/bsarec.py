"""BSARec: SASRec whose layers blend attention with a frequency rescaler (Shin et al., AAAI 2024, arXiv 2312.10325).

The rescaler is causal, so that the next item can be asked for at every place; nn/sequence/frequency says how this
relates to the published filter, which reads the whole window and is trained at the last place of every prefix.
"""

from __future__ import annotations

from functools import partial

from pte.backbone.sequence.next_item import FULL_CROSS_ENTROPY, NextItem
from pte.nn.contract import Representation
from pte.nn.loss.base import Loss
from pte.nn.sequence.attention import Encoder
from pte.nn.sequence.frequency import FrequencyBlock


class BSARec(NextItem):
    """alpha: share of the rescaler; c: Fourier components that count as low, over `length` places."""

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
        alpha: float,
        c: int,
        loss: Loss = FULL_CROSS_ENTROPY,
    ) -> None:
        encoder = Encoder(
            width=representation.width, views=representation.views, inner=inner, layers=layers, heads=heads,
            length=length, dropout=dropout, attention_dropout=attention_dropout,
            block=partial(FrequencyBlock, alpha=alpha, c=c, window=length),
        )  # fmt: skip
        super().__init__(representation=representation, num_items=num_items, length=length, encoder=encoder, loss=loss)
