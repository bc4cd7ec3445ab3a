"""RLMRec-Gen: an ID table from which the text vectors are predicted.

Ren et al., WWW 2024 (arXiv 2310.15950), Sec. 3.5. With g an MLP d -> (d + d_l) / 2 -> d_l with LeakyReLU:

    form=masked   replace a share of the items by one learnt vector m; where a hidden item i stands in a history,
                  predict its text from the encoder's state h there:  weight * InfoNCE(g(h), L_i) against other
                  hidden places, those of all processes
    form=cosine   weight * ( 1 - mean_i cos(g(e_i), L_i) )                             AlphaFuse's; no item is hidden

Departures: the paper's encoder is a graph network, which reads a hidden node's neighbours in the bipartite graph; here
the causal sequence encoder reads the items before it. Items are hidden as inputs, not as targets. The same item at
another place is no negative.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pte.nn.all_gather import others
from pte.nn.batch import PackedBatch
from pte.nn.head import projector, sample_rows
from pte.nn.item_table import Last
from pte.nn.loss.alignment import cosine_alignment, info_nce
from pte.representation.rlmrec_con import RlmRec
from pte.schema import require


class RlmRecGen(RlmRec):
    """From which g predicts L_i. mask: the share of hidden items."""

    name = "rlmrec_gen"
    forms = ("cosine", "masked")

    def __init__(self, *, mask: float, **rlmrec: Any) -> None:
        require(0 < mask < 1, "representation.mask", mask, "the share of hidden items lies between 0 and 1")
        super().__init__(**rlmrec)
        self.mask = mask
        self.token = nn.Parameter(torch.zeros(self.width)) if self.form == "masked" else None
        self.tell = projector(self.width, self.text.shape[1])
        self.hidden: Tensor | None = None  # (N+1,) bool, which items this step hides

    def inputs(self, table: Tensor) -> Tensor:
        """While training with form=masked, a new share of the rows is the token."""
        if self.token is None or not self.training:
            return table
        count = max(1, round(self.mask * len(self.weight)))
        self.hidden = torch.zeros(len(table), dtype=torch.bool, device=table.device)
        self.hidden[1 + sample_rows(len(self.weight), count, table.device)] = True
        return torch.where(self.hidden[:, None], self.token.to(table), table)

    def auxiliary(self) -> Tensor:
        if self.form != "cosine":
            return super().auxiliary()
        row = sample_rows(len(self.weight), self.sample, self.weight.device)
        return self.share * cosine_alignment(self.tell(self.weight[row]), self.text[row])

    def sequence_auxiliary(self, batch: PackedBatch, state: Tensor, last: Last) -> Tensor | None:
        if self.hidden is None or not self.training:
            return None
        at = self.hidden[batch.item]
        prediction: Tensor = self.tell(state[at])
        elsewhere = others(batch.item[at])
        item = torch.cat([batch.item[at], *elsewhere])  # hidden places of the whole step, this process's first
        if not len(prediction):
            return prediction.sum()  # 0, but every weight has its gradient, which several processes rely on
        total = len(item) / (1 + len(elsewhere))  # as train/recommender: averaged over processes, the mean of the step
        return self.share * info_nce(prediction, self.text[item - 1], self.temperature, row=item, total=total)
