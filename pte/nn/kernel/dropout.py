"""Dropout that costs less than what it drops: on a CPU one 64-bit draw decides over eight places.

torch draws one number per place, one after the other, which takes longer than the matrix products around it. A random
byte against a threshold does the same with the probability rounded to 1/256 (exact for .5, .25; .1 becomes .1016), and
the values that stay are scaled by the rounded probability, so that the expectation is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.schema import InputError


def kept(shape: torch.Size, probability: float, like: Tensor) -> Tensor:
    """1 / q with probability q = round(256 (1 - p)) / 256, at least 1/256, else 0; from the CPU's global generator."""
    threshold = max(1, round(256 * (1 - probability)))
    if threshold == 256:  # no byte reaches it, and it is no byte itself
        return torch.ones(shape, dtype=like.dtype)
    draws = torch.empty((shape.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)  # all 64 bits are random
    byte = draws.view(torch.uint8)[: shape.numel()].view(shape)
    # Written as 0.0 and 1.0, which torch vectorises: `where` between two numbers takes seventeen times as long.
    keeps = torch.lt(byte, threshold, out=torch.empty(shape))
    return keeps.mul_(256 / threshold).to(like.dtype)


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """x with every value dropped with the given probability, the others scaled up; x itself outside of training."""
    if not training or probability == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    return x * kept(x.shape, probability, x)


def probability_of(value: float, knob: str = "backbone.dropout") -> float:
    """A dropout probability, or an InputError that names the knob."""
    if not 0 <= value < 1:
        raise InputError(f"{knob}={value}: a dropout probability lies in 0 to below 1")
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
