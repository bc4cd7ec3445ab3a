"""UniSRec's adaptor: a mixture of parametric whitenings of frozen text vectors.

Hou et al., KDD 2022 (arXiv 2206.05941), Eqs. 4-6, with L_i the text vector of item i:

    x_k = W_k (dropout(L_i) - b_k)                                   parametric whitening k = 1..K
    g   = softmax(W_g^T L_i + delta),  delta ~ N(0, softplus(W_n^T L_i) + .01)      noise while training only
    e_i = sum_k g_k x_k  ( + t_i  in the transductive setting, t_i a trainable vector per item )

Departures: the pre-training on other domains with its two contrastive tasks is left out (one data set is all there is,
as in AlphaFuse's use of it); one table is made per step, so that an item has the same noise as input and as target;
the loss is the backbone's (theirs is a softmax of cosines over the whole catalogue at temperature .07).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.item_table import ItemTable, item_rows, padded, positive
from pte.nn.kernel.dropout import dropout, probability_of
from pte.nn.kernel.place_noise import common
from pte.nn.noise import standard_normal
from pte.schema import require


class UniSRec(ItemTable):
    """K whitening experts and a noisy softmax gate over frozen text vectors.

    transductive: add a trainable vector per item, which starts at zero.
    """

    uses_text = True
    text: Tensor

    def __init__(
        self, *, num_items: int, vectors: Tensor | None, width: int, experts: int, dropout: float, transductive: bool
    ) -> None:
        super().__init__()
        rows = item_rows(vectors, num_items, "unisrec")
        require(experts >= 1, "representation.experts", experts, "give a positive number")
        self.width, self.dropout = positive(width), probability_of(dropout, "representation.dropout")
        self.register_buffer("text", rows, persistent=False)
        self.weight = nn.Parameter(torch.randn(experts, width, rows.shape[1]) * 0.02)
        self.bias = nn.Parameter(torch.zeros(experts, rows.shape[1]))
        self.gate = nn.Parameter(torch.zeros(rows.shape[1], experts))
        self.noise = nn.Parameter(torch.zeros(rows.shape[1], experts))
        self.own = nn.Parameter(torch.zeros(num_items, width)) if transductive else None

    @property
    def free_per_item(self) -> int:
        return 0 if self.own is None else self.width

    def table(self) -> Tensor:
        gate = self.gates()
        experts = zip(gate.T, self.weight, self.bias, strict=True)
        mixture = sum(g[:, None] * self.whitened(weight, bias) for g, weight, bias in experts)
        return padded(mixture if self.own is None else mixture + self.own)

    def whitened(self, weight: Tensor, bias: Tensor) -> Tensor:
        """W (dropout(L) - b), (N, D)."""
        return F.linear(dropout(self.text, self.dropout, self.training) - bias, weight)

    def gates(self) -> Tensor:
        """g (N, K): rows sum to 1."""
        logits = self.text @ self.gate
        if self.training:
            noise = standard_normal(logits.shape, common(), logits.device)
            logits = logits + noise * (F.softplus(self.text @ self.noise) + 0.01)
        return logits.softmax(dim=1)
