"""A causal transformer over packed or right-padded histories: SASRec's encoder (Kang & McAuley, ICDM 2018, Sec. III).

Departures: normalisation after each residual sum (post-LN) and GELU in the feed-forward part, as in BERT; the published
code normalises the queries only and uses ReLU. Attention over packed rows is block-diagonal: a place sees the earlier
places of its own history and nothing else. A right-padded history needs no mask but the causal one, since all its
padding comes after its last item.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.kernel.dropout import Dropout, dropout, probability_of
from pte.nn.kernel.place_noise import current
from pte.schema import InputError, require

MOST_LAYERS = 256
Mix = Callable[[Tensor, Tensor | None], Tensor]  # views (V, R, L, d) and the mask -> views that have read each other


def block_causal(segment: Tensor) -> Tensor:
    """May place l look at place m? Same history and m <= l. (R, L) -> (R, 1, L, L) bool.

    Padding (segment 0) looks at padding, so that no row of a softmax is empty; nothing else ever looks at it.
    """
    same = segment[:, None, :, None] == segment[:, None, None, :]
    return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=segment.device).tril()


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, drop: float) -> Tensor:
    """dropout(softmax(q k^T / sqrt(d))) v over places allowed by `mask` (None = causal); q, k, v (R, H, L, d).

    On a GPU, and without dropout, this is SDPA's fused kernel. With dropout a CPU has no such kernel, and SDPA's own
    way takes 1.7 times as long as these lines (measured at R = 15, L = 50, d = 32); with products in bf16 its kernel
    takes 4 to 12 times as long at 16 to 50 places (R = 600, d = 32).
    """
    fused = drop == 0 and torch.get_float32_matmul_precision() == "highest"
    if q.device.type != "cpu" or torch.compiler.is_compiling() or fused:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop, is_causal=mask is None)
    if mask is None:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    bias = torch.zeros(mask.shape, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    weight = ((q * q.shape[-1] ** -0.5) @ k.mT + bias).softmax(dim=-1)
    noise = current()
    return dropout(weight, drop, training=drop > 0, key=None if noise is None else noise.position) @ v


class Attention(nn.Module):
    """Multi-head self-attention, softmax(Q K^T / sqrt(D/H)) V, heads side by side in one projection."""

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                f"backbone.heads={heads} does not divide {width}, the width of a view of an item: type a"
                " representation.width that it divides"
            )
        self.heads, self.dropout = heads, probability_of(dropout, "backbone.attention_dropout")
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(R, L, D) -> (R, L, D); `mask` (R, 1, L, L) bool, None = causal."""
        q, k, v = rearrange(self.qkv(x), "r l (three h d) -> three r h l d", three=3, h=self.heads)
        read = attend(q, k, v, mask, self.dropout if self.training else 0.0)
        joined: Tensor = self.out(rearrange(read, "r h l d -> r l (h d)"))
        return joined

    def last(self, x: Tensor, length: Tensor) -> Tensor:
        """What the last place of right-padded histories reads, undropped: (B, L, D), (B,) -> (B, D)."""
        at = torch.arange(len(x), device=x.device)
        query, key_value = self.qkv.weight.split([x.shape[-1], 2 * x.shape[-1]])
        query_bias, key_value_bias = self.qkv.bias.split([x.shape[-1], 2 * x.shape[-1]])
        q = rearrange(F.linear(x[at, length - 1], query, query_bias), "b (h d) -> b h 1 d", h=self.heads)
        k, v = rearrange(F.linear(x, key_value, key_value_bias), "b l (two h d) -> two b h l d", two=2, h=self.heads)
        real = torch.arange(x.shape[1], device=x.device) < length[:, None]
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])
        joined: Tensor = self.out(rearrange(read, "b h 1 d -> b (h d)"))
        return joined


class Block(nn.Module):
    """x <- LN(x + Attention(x)), then x <- LN(x + W2 GELU(W1 x)), with dropout on what is added."""

    def __init__(self, *, width: int, inner: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width=width, heads=heads, dropout=attention_dropout)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm_attention, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self._feed(self.norm_attention(x + self.drop(self.attention(x, mask))))

    def last(self, x: Tensor, length: Tensor) -> Tensor:
        """The same for the last place of each right-padded history alone: (B, L, D) -> (B, D)."""
        own = x[torch.arange(len(x), device=x.device), length - 1]
        return self._feed(self.norm_attention(own + self.drop(self.attention.last(x, length))))

    def _feed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.norm_feed(x + self.drop(self.narrow(F.gelu(self.widen(x)))))
        return fed


class Encoder(nn.Module):
    """Item vectors plus learned positions, normalised and dropped out, through a stack of blocks.

    views: the width is that many blocks of columns, each encoded by itself with the same weights, side by side again
    at the end; a `mix` lets them read each other first. block: what makes one layer, from width, inner, heads and
    the two dropouts (see nn/sequence/frequency for another).
    """

    def __init__(
        self,
        *,
        width: int,
        inner: int,
        layers: int,
        heads: int,
        length: int,
        dropout: float,
        attention_dropout: float,
        std: float = 0.02,
        views: int = 1,
        block: Callable[..., Block] = Block,
    ) -> None:
        super().__init__()
        require(1 <= layers <= MOST_LAYERS, "backbone.layers", layers, f"give a whole number, 1 to {MOST_LAYERS}")
        for name, value in {"length": length, "inner": inner, "heads": heads}.items():
            require(value >= 1, f"backbone.{name}", value, "give a whole number, 1 or more")
        if width % views:
            raise InputError(f"representation.width={width} cannot be split into {views} views")
        self.views, width = views, width // views
        self.position = nn.Embedding(length, width)
        self.norm, self.drop = nn.LayerNorm(width), Dropout(dropout)
        self.blocks = nn.ModuleList(
            block(width=width, inner=inner, heads=heads, dropout=dropout, attention_dropout=attention_dropout)
            for _ in range(layers)
        )
        self.apply(lambda module: normal_weights(module, std))

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None = None, mix: Mix | None = None) -> Tensor:
        """(R, L, D) item vectors at positions (R, L) or (L,) -> (R, L, D); no mask means causal."""
        x = self._start(x, position, mask, mix)
        if mask is not None and self.views > 1:
            mask = repeat(mask, "r one l m -> (v r) one l m", v=self.views)
        for block in self.blocks:
            x = block(x, mask)
        return rearrange(x, "(v r) l d -> r l (v d)", v=self.views)

    def last(self, x: Tensor, length: Tensor, mix: Mix | None = None) -> Tensor:
        """State after the last item of right-padded histories: (B, L, D), (B,) -> (B, D).

        Equal to `forward` there in evaluation mode; in training the last block's attention has no dropout here.
        """
        x = self._start(x, torch.arange(x.shape[1], device=x.device), None, mix)
        *early, final = self.blocks
        for block in early:
            x = block(x, None)
        assert isinstance(final, Block)
        return rearrange(final.last(x, length.repeat(self.views)), "(v b) d -> b (v d)", v=self.views)

    def _start(self, x: Tensor, position: Tensor, mask: Tensor | None, mix: Mix | None) -> Tensor:
        """What the first block reads: every view as a row of its own, (R, L, V d) -> (V R, L, d)."""
        x = rearrange(x, "r l (v d) -> v r l d", v=self.views)
        x = self.drop(self.norm(x + self.position(position)))
        return rearrange(x if mix is None else mix(x, mask), "v r l d -> (v r) l d")


def normal_weights(module: nn.Module, std: float) -> None:
    """Weights ~ N(0, std^2), biases 0, norms 1 and 0: BERT's start."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
