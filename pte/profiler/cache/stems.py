"""Stems that stay in the cache once for all rows that continue them, and how a model attends to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pte.nn.kernel.stem_attention import Seats, stem_attention

STEMS = "pte_stems"  # transformers' name of `_attend`
UNKNOWN = ("position_bias", "softcap", "s_aux", "cache")  # kinds of attention that `stem_attention` is not


class Stems:
    """P stems of R rows: keys and values of every layer (P, H, S, D), once; mask: (P, S), row_stem: (R,)."""

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]], mask: Tensor, row_stem: Tensor) -> None:
        self.layers = list(layers)
        self.seats = Seats.of(row_stem, mask.bool())
        self.read: set[int] = set()  # layers that attended

    def take(self, rows: Tensor) -> None:
        """Go on with these rows; stems without any are left behind once they are a quarter."""
        stem, mask = self.seats.stem[rows], self.seats.mask
        used, place = stem.unique(return_inverse=True)
        if len(used) <= 0.75 * len(mask):
            self.layers = [(keys[used], values[used]) for keys, values in self.layers]
            stem, mask = place, mask[used]
        self.seats = Seats.of(stem, mask)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    stems: Stems | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention over a row's own tokens and, where `stems` are given, over its stem before them."""
    if stems is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    if any(kwargs.get(name) is not None for name in UNKNOWN) or scaling is None:
        raise ValueError(f"{type(module).__name__} attends in a way of its own")
    length = query.shape[2]
    if attention_mask is None and length > 1:
        attention_mask = torch.ones(1, 1, length, key.shape[2], dtype=torch.bool, device=key.device)
        attention_mask = attention_mask.tril(key.shape[2] - length)
    stems.read.add(module.layer_idx)
    out = stem_attention(query, stems.layers[module.layer_idx], (key, value), stems.seats, attention_mask, scaling)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(STEMS, _attend)
AttentionMaskInterface.register(STEMS, sdpa_mask)
