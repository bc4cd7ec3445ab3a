"""Concat: an ID embedding and a text embedding side by side, the plain way to have both.

    e_i = [ id_i , head(z_i) ]          id_i trainable as in representation=id, head(z_i) as in representation=llm_only

Under a score of products this is the sum of an ID model's and a text model's scores with one shared sequence encoder.
It is the fusion that a claim of "text alone is enough" must not lose against, at the same width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pte.nn.item_table import ItemTable, positive
from pte.representation.id import Id
from pte.representation.llm_only import LlmOnly
from pte.schema import InputError


class Concat(ItemTable):
    """[Id, LlmOnly]; `id_share` of the width is free per item. With head=none the text's part has `components`."""

    uses_text = True

    def __init__(
        self,
        *,
        num_items: int,
        vectors: Tensor | None,
        width: int,
        id_share: float,
        std: float,
        components: int | None,
        whiten: bool,
        eps: float,
        head: str,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        own = round(id_share * positive(width))
        if not 0 < own < width:
            raise InputError(f"representation.id_share={id_share} leaves one side of width={width} empty")
        self.id = Id(num_items=num_items, width=own, std=std)
        self.text = LlmOnly(
            num_items=num_items, vectors=vectors, width=width - own, components=components, whiten=whiten, eps=eps,
            head=head, hidden=hidden, dropout=dropout,
        )  # fmt: skip
        self.width = self.id.width + self.text.width

    @property
    def free_per_item(self) -> int:
        return self.id.width

    def table(self) -> Tensor:
        return torch.cat([self.id.table(), self.text.table()], dim=1)
