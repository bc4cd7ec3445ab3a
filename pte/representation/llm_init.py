"""LLMInit: an ID table that starts from the text vectors and is free from then on.

Harte et al., RecSys 2023 ("LLM2BERT4Rec"), as adapted by AlphaFuse (Guo et al., SIGIR 2025): E = (L - mu) U_{:, :d}
Lambda_{:d}^{-1/2} at the start, E trainable. So it has all the capacity of an ID table: text decides where it starts,
not its content. Departures: AlphaFuse takes L itself where its width is d, here it is whitened all the same; `std`
sets the size of the start (AlphaFuse trains on cosines, where size says nothing; in a softmax of products it does).
"""

from __future__ import annotations

from torch import Tensor, nn

from pte.nn.item_table import FreeTable, fitting, item_rows
from pte.nn.statistic.whitening import axes
from pte.schema import InputError, require


class LlmInit(FreeTable):
    """N trainable vectors that start on the d first principal axes of the text vectors.

    standardise: bring every axis to the same variance; otherwise they keep their ratios. std: root mean square of all
    coordinates at the start.
    """

    uses_text = True

    def __init__(
        self, *, num_items: int, vectors: Tensor | None, width: int, standardise: bool, std: float, eps: float
    ) -> None:
        super().__init__()
        require(std > 0, "representation.std", std, "a standard deviation is above 0")
        rows = item_rows(vectors, num_items, "llm_init")
        self.width = fitting(width, rows, "llm_init")
        own = axes(rows)
        start = own.whiten(rows, width, eps) if standardise else own.project(rows, width)
        if not start.is_meta and not start.any():
            raise InputError("representation=llm_init: all item vectors are alike, so they are nothing to start from")
        self.weight = nn.Parameter((start / start.square().mean().sqrt() * std).to(rows))
