"""BSARec's layer (Shin et al., AAAI 2024, arXiv 2312.10325): attention blended with a frequency rescaler.

    rescaled(x) = low(x) + beta^2 (x - low(x)),  low = the c lowest Fourier components over time, beta learnt per column
    x <- alpha LN(x + drop(rescaled(x))) + (1 - alpha) LN(x + drop(Attention(x))), then the usual feed-forward part

The published filter runs over all places of a window of L, left-padded: each place reads later ones. There this leaks
nothing, because that code trains on every prefix as a sequence of its own and takes the loss at its last place alone.
A loss at every place, as here, would be given its own targets as inputs. So the filter here is causal: at place t it is
the published one's value at the last place of the window of L that ends at t, places before the history being zeros.
Circular convolution ends in the window's last place with a plain sum over the past,

    low(x)_t = sum_s k_s x_(t-s),   k = irfft(1 on the c // 2 + 1 lowest frequencies, else 0; L),

so no place reads the future and no FFT depends on how a batch is padded: L is the backbone's length, not the batch's.
Departures: with two or more layers the published earlier layers read a prefix's later places and these do not; padding
is zeros, where the published padding holds position vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pte.nn.sequence.attention import Block
from pte.schema import require


def low_pass(window: int, c: int) -> Tensor:
    """(window,) float32: k_s, the weight of the place s steps back. c: components, of which 1 + 2 (c // 2) are real."""
    frequencies = window // 2 + 1
    keep = (torch.arange(frequencies) < c // 2 + 1).to(torch.complex64)
    kernel: Tensor = torch.fft.irfft(keep, n=window)
    return kernel


class CausalRescaler(nn.Module):
    """low(x) + beta^2 (x - low(x)); `sqrt_beta` (D,) starts as N(0, 1), as in the published code."""

    kernel: Tensor

    def __init__(self, *, width: int, window: int, c: int) -> None:
        super().__init__()
        require(c >= 1, "backbone.c", c, "the low-pass keeps at least one component, so give 1 or more")
        self.register_buffer("kernel", low_pass(window, c), persistent=False)
        self.sqrt_beta = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(R, L, D) -> (R, L, D); `mask` (R, 1, L, L) bool, causal within histories, None = causal."""
        place = torch.arange(x.shape[1], device=x.device)
        back = place[:, None] - place
        weight = self.kernel[back.clamp(min=0)] * (back >= 0)
        return self._blend(x, (weight if mask is None else weight * mask[:, 0]) @ x)

    def last(self, x: Tensor, length: Tensor) -> Tensor:
        """The same at the last place of right-padded histories: (B, L, D), (B,) -> (B, D)."""
        back = length[:, None] - 1 - torch.arange(x.shape[1], device=x.device)
        weight = self.kernel[back.clamp(min=0)] * (back >= 0)
        own = x[torch.arange(len(x), device=x.device), length - 1]
        return self._blend(own, (weight[:, None] @ x)[:, 0])

    def _blend(self, x: Tensor, low: Tensor) -> Tensor:
        return low + self.sqrt_beta.square() * (x - low)


class FrequencyBlock(Block):
    """A layer of BSARec. alpha: share of the rescaler; window: places that its Fourier transform covers."""

    def __init__(
        self, *, width: int, inner: int, heads: int, dropout: float, attention_dropout: float,
        alpha: float, c: int, window: int,
    ) -> None:  # fmt: skip
        super().__init__(width=width, inner=inner, heads=heads, dropout=dropout, attention_dropout=attention_dropout)
        require(0 <= alpha <= 1, "backbone.alpha", alpha, "the share of the frequency rescaler lies in 0..1")
        self.alpha = alpha
        self.rescale, self.norm_rescale = CausalRescaler(width=width, window=window, c=c), nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self._blend(x, self.rescale(x, mask), self.attention(x, mask))

    def last(self, x: Tensor, length: Tensor) -> Tensor:
        own = x[torch.arange(len(x), device=x.device), length - 1]
        return self._blend(own, self.rescale.last(x, length), self.attention.last(x, length))

    def _blend(self, x: Tensor, rescaled: Tensor, read: Tensor) -> Tensor:
        filtered = self.norm_rescale(x + self.drop(rescaled))
        attended = self.norm_attention(x + self.drop(read))
        return self._feed(torch.lerp(attended, filtered, self.alpha))
