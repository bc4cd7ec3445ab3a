"""Dropout that costs less than what it drops: on a CPU one 64-bit draw decides over eight places.

torch draws one number per place, one after the other, which takes longer than the matrix products around it. A random
byte against a threshold does the same with the probability rounded to 1/256 (exact for .5, .25; .1 becomes .1016), and
the values that stay are scaled by the rounded probability, so that the expectation is exact. Reference:
`F.dropout`'s frequency and scale (tests/nn/kernel/test_dropout.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.kernel.place_noise import PlaceNoise, current
from pte.schema import require


def dropout_mask(shape: torch.Size, probability: float, like: Tensor, key: Tensor | None = None) -> Tensor:
    """1 / q with probability q = round(256 (1 - p)) / 256, at least 1/256, else 0.

    Under `place_noise` the draws are those of the step's places, wherever these are processed; of its common generator
    for a table, which all processes hold; else of the CPU's global generator. key: see `attention_bytes`.
    """
    threshold = max(1, round(256 * (1 - probability)))
    if threshold == 256:  # no byte reaches it, and it is no byte itself
        return torch.ones(shape, dtype=like.dtype)
    byte = _bytes(shape, key)
    # Written as 0.0 and 1.0, which torch vectorises: `where` between two numbers takes seventeen times as long.
    keeps = torch.lt(byte, threshold, out=torch.empty(shape))
    return keeps.mul_(256 / threshold).to(like.dtype)


def _bytes(shape: torch.Size, key: Tensor | None) -> Tensor:
    """Uniform bytes of a shape."""
    noise = current()
    if noise is not None and key is not None and noise.covers(shape[:1] + shape[2:]):
        return attention_bytes(noise, shape, key)
    if noise is not None and key is None and noise.covers(shape):
        return noise.bytes(shape[:-2].numel() // len(noise.key), shape[-1]).reshape(shape)
    if noise is not None and noise.whole and len(shape) == 2:
        return noise.bytes(shape[0] // len(noise.key), shape[1], rows=True)
    common = noise.common if noise is not None and len(shape) == 2 else None
    draws = torch.empty((shape.numel() + 7) // 8, dtype=torch.int64)
    draws.random_(-(2**63), None, generator=common)  # all 64 bits are random
    return draws.view(torch.uint8)[: shape.numel()].view(shape)


def attention_bytes(noise: PlaceNoise, shape: torch.Size, key: Tensor) -> Tensor:
    """(R, H, L, L) for the weights of queries over keys; key (R, L): each key's place in its own history.

    A byte belongs to the query's place and the key's position, not to the columns where the two were packed nor to how
    many there are.
    """
    rows, heads, length, _ = shape
    byte = noise.bytes(rows // len(noise.key), length * heads).reshape(rows, length, length, heads).permute(0, 3, 1, 2)
    return byte.gather(3, key.repeat(rows // len(key), 1)[:, None, None, :].expand(shape))


def dropout(x: Tensor, probability: float, training: bool, key: Tensor | None = None) -> Tensor:
    """x with every value dropped with the given probability, the others scaled up; x itself outside of training."""
    if not training or probability == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    return x * dropout_mask(x.shape, probability, x, key)


def probability_of(value: float, knob: str = "backbone.dropout") -> float:
    """A dropout probability, or an InputError that names the knob."""
    require(0 <= value < 1, knob, value, "a dropout probability lies in 0 to below 1")
    return value


class Dropout(nn.Module):
    """`dropout` as a module: active in training mode only."""

    def __init__(self, probability: float, knob: str = "backbone.dropout") -> None:
        super().__init__()
        self.probability = probability_of(probability, knob)

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.probability, self.training)

    def extra_repr(self) -> str:
        return f"{self.probability}"
