"""WhitenRec: frozen, whitened text vectors through a shared head; WhitenRec+: a fully and a group-wise whitened copy.

Zhang et al., ICDE 2024 (arXiv 2402.10602): Z_1 = ZCA(L) has covariance I; Z_G whitens each of G blocks of columns by
itself, which keeps more of the text's own neighbourhoods; e_i = f(Z_1) + f(Z_G) with one head f for both, f an MLP.
groups=1 is WhitenRec, groups>1 WhitenRec+. Departures: `layers=1, activation=gelu` is AlphaFuse's version, Linear+GELU
(on PCA-whitened vectors there: a rotation of ZCA's, which the linear layer absorbs); the last layer of the MLP is
linear here, where their toolkit's ends in an activation; hidden and output width are the backbone's, there 300; the
loss is the backbone's, there a softmax over all cosines at .07, with a rate of 1e-4.
"""

from __future__ import annotations

from torch import Tensor

from pte.nn.head import mlp
from pte.nn.item_table import ItemTable, item_rows, padded, positive
from pte.nn.statistic.whitening import zca_whitened
from pte.schema import InputError


class WhitenRec(ItemTable):
    """f(ZCA(L)), or f(ZCA(L)) + f(group-wise ZCA(L)); nothing belongs to one item alone."""

    uses_text = True
    full: Tensor
    relaxed: Tensor | None

    def __init__(
        self,
        *,
        num_items: int,
        vectors: Tensor | None,
        width: int,
        groups: int,
        layers: int,
        activation: str,
        dropout: float,
        eps: float,
    ) -> None:
        super().__init__()
        rows = item_rows(vectors, num_items, "whitenrec")
        self.width = positive(width)
        if not isinstance(groups, int) or groups < 1 or rows.shape[1] % groups:
            raise InputError(
                f"representation.groups={groups} does not split text vectors of width {rows.shape[1]} into equal blocks"
            )
        self.register_buffer("full", zca_whitened(rows, eps))
        self.register_buffer("relaxed", zca_whitened(rows, eps, groups) if groups > 1 else None)
        self.head = mlp(
            rows.shape[1], width, layers=layers, activation=activation, dropout=dropout, last_active=layers == 1
        )

    def table(self) -> Tensor:
        table = self.head(self.full)
        if self.relaxed is not None:
            table = table + self.head(self.relaxed)
        return padded(table)
