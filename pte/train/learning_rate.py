"""The learning rate over a fit: up in a straight line, then level or down to nothing along half a cosine.

    factor(s) = (s + 1) / (floor(W) + 1)                 s < W = warmup S            (s counts steps, S all of them)
                1                                        decay none
                (1 + cos(pi (s - W) / (S - W))) / 2      decay cosine                (SGDR, Loshchilov & Hutter, Eq. 5)

A rate that falls lets the first steps be larger and still ends on a quiet optimum: a fit needs fewer epochs, and all
methods are given the same number.
"""

from __future__ import annotations

import math

from pte.schema import one_of, require

DECAYS = ("none", "cosine")


def check(warmup: float, decay: str) -> None:
    """Refuse what is no schedule, by the names a person typed."""
    one_of("trainer.decay", decay, DECAYS)
    require(0 <= warmup < 1, "trainer.warmup", warmup, "the share of all steps that the rate rises in, 0 to below 1")


def factor(step: int, *, steps: int, warmup: float, decay: str) -> float:
    """What the learning rate of step 0, 1 ... steps - 1 is multiplied by; never 0 before the end."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (math.floor(rising) + 1)
    if decay == "none":
        return 1.0
    return (1 + math.cos(math.pi * min(1.0, (step - rising) / (steps - rising)))) / 2
