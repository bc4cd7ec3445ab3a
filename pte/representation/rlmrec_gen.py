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

import torch
from torch import Tensor, nn

from pte.nn.all_gather import others
from pte.nn.batch import PackedBatch
from pte.nn.head import projector, sample_rows
from pte.nn.item_table import ItemTable, Last, item_rows, padded, positive
from pte.nn.loss.alignment import cosine_alignment, info_nce
from pte.schema import InputError, require


class RlmRecGen(ItemTable):
    """N trainable vectors e_i ~ N(0, std^2) from which g predicts L_i."""

    uses_text = True
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
        mask: float,
        sample: int,
    ) -> None:
        super().__init__()
        if form not in ("cosine", "masked"):
            raise InputError(f"representation.form={form}: rlmrec_gen knows cosine and masked")
        if not 0 < mask < 1:
            raise InputError(f"representation.mask={mask}: the share of hidden items lies between 0 and 1")
        require(temperature > 0, "representation.temperature", temperature, "it must be positive")
        require(weight >= 0, "representation.weight", weight, "the weight of a loss, 0 or more")
        require(sample >= 0, "representation.sample", sample, "a number of items, or 0 for all")
        require(std > 0, "representation.std", std, "a standard deviation is above 0")
        rows = item_rows(vectors, num_items, "rlmrec_gen")
        self.width, self.form, self.share, self.temperature = positive(width), form, weight, temperature
        self.mask, self.sample = mask, sample
        self.register_buffer("text", rows, persistent=False)
        self.weight = nn.Parameter(torch.randn(num_items, width) * std)
        self.token = nn.Parameter(torch.zeros(width)) if form == "masked" else None
        self.tell = projector(width, rows.shape[1])
        self.hidden: Tensor | None = None  # (N+1,) bool, which items this step hides

    @property
    def free_per_item(self) -> int:
        return self.width

    def table(self) -> Tensor:
        return padded(self.weight)

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
        prediction, *elsewhere = self.tell(state[at]), *others(batch.item[at])
        item = torch.cat([batch.item[at], *elsewhere])  # hidden places of the whole step, this process's first
        if not len(prediction):
            return prediction.sum()  # 0, but every weight has its gradient, which several processes rely on
        total = len(item) / (1 + len(elsewhere))  # as train/recommender: averaged over processes, the mean of the step
        return self.share * info_nce(prediction, self.text[item - 1], self.temperature, row=item, total=total)
