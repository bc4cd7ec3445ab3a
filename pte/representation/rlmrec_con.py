"""RLMRec-Con: an ID table that is drawn towards a projection of the text vectors.

Ren et al., WWW 2024 (arXiv 2310.15950), Sec. 3.4. With g an MLP d_l -> (d_l + d) / 2 -> d with LeakyReLU:

    form=infonce   weight * mean_i ( log sum_j exp(cos(e_i, g(L_j)) / tau) - cos(e_i, g(L_i)) / tau )     the paper's
    form=cosine    weight * ( 1 - mean_i cos(g(L_i), e_i) )                                               AlphaFuse's

Items are scored by e_i alone; text acts through this loss. Departures: the paper aligns users too and, with a graph
encoder, propagated vectors; a sequence model has neither a user table nor a graph. It takes the items of the batch,
here `sample` items are drawn from the catalogue in every step (0 = all of them, as AlphaFuse's cosine form does).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pte.nn.head import projector, sample_rows
from pte.nn.item_table import FreeTable, item_rows, positive
from pte.nn.loss.alignment import cosine_alignment, info_nce
from pte.schema import require


class RlmRec(FreeTable):
    """N trainable vectors e_i ~ N(0, std^2) beside text vectors L_i, with a loss of one of `forms` on both."""

    uses_text = True
    name: ClassVar[str]
    forms: ClassVar[tuple[str, str]]
    text: Tensor

    def __init__(
        self,
        *,
        num_items: int,
        vectors: Tensor | None,
        width: int,
        std: float,
        form: str,
        weight: float,
        temperature: float,
        sample: int,
    ) -> None:
        super().__init__()
        require(form in self.forms, "representation.form", form, f"{self.name} knows {' and '.join(self.forms)}")
        require(temperature > 0, "representation.temperature", temperature, "it must be positive")
        require(weight >= 0, "representation.weight", weight, "the weight of a loss, 0 or more")
        require(sample >= 0, "representation.sample", sample, "a number of items, or 0 for all")
        require(std > 0, "representation.std", std, "a standard deviation is above 0")
        rows = item_rows(vectors, num_items, self.name)
        self.width, self.form, self.share = positive(width), form, weight
        self.temperature, self.sample = temperature, sample
        self.register_buffer("text", rows, persistent=False)
        self.weight = nn.Parameter(torch.randn(num_items, width) * std)


class RlmRecCon(RlmRec):
    """Aligned with g(L_i)."""

    name = "rlmrec_con"
    forms = ("cosine", "infonce")

    def __init__(self, **rlmrec: Any) -> None:
        super().__init__(**rlmrec)
        self.project = projector(self.text.shape[1], self.width)

    def auxiliary(self) -> Tensor:
        row = sample_rows(len(self.weight), self.sample, self.weight.device)
        semantic, own = self.project(self.text[row]), self.weight[row]
        if self.form == "cosine":
            return self.share * cosine_alignment(semantic, own)
        return self.share * info_nce(own, semantic, self.temperature)
