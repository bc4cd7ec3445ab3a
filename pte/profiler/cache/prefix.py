"""Prefixes that stay in the cache once for all rows that continue them, and how a model attends to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pte.nn.kernel.prefix_attention import Seats, prefix_attention

PREFIXES = "pte_prefixes"  # transformers' name of `_attend`
UNKNOWN = ("position_bias", "softcap", "s_aux", "cache")  # kinds of attention that `prefix_attention` is not


class Prefixes:
    """P prefixes of R rows: keys and values of every layer (P, H, S, D), once; mask: (P, S), row_prefix: (R,)."""

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]], mask: Tensor, row_prefix: Tensor) -> None:
        self.layers = list(layers)
        self.seats = Seats.of(row_prefix, mask.bool())
        self.read: set[int] = set()  # layers that attended

    def take(self, rows: Tensor) -> None:
        """Go on with these rows; prefixes without any are left behind once they are a quarter."""
        prefix, mask = self.seats.prefix[rows], self.seats.mask
        used, place = prefix.unique(return_inverse=True)
        if len(used) <= 0.75 * len(mask):
            self.layers = [(keys[used], values[used]) for keys, values in self.layers]
            prefix, mask = place, mask[used]
        self.seats = Seats.of(prefix, mask)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    prefixes: Prefixes | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention over a row's own tokens and, where `prefixes` are given, over its prefix before them."""
    if prefixes is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    if any(kwargs.get(name) is not None for name in UNKNOWN) or scaling is None:
        raise ValueError(f"{type(module).__name__} attends in a way of its own")
    length = query.shape[2]
    if attention_mask is None and length > 1:
        attention_mask = torch.ones(1, 1, length, key.shape[2], dtype=torch.bool, device=key.device)
        attention_mask = attention_mask.tril(key.shape[2] - length)
    prefixes.read.add(module.layer_idx)
    out = prefix_attention(
        query, prefixes.layers[module.layer_idx], (key, value), prefixes.seats, attention_mask, scaling
    )
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(PREFIXES, _attend)
AttentionMaskInterface.register(PREFIXES, sdpa_mask)
