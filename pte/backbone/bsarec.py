"""BSARec: SASRec whose layers blend attention with a frequency rescaler (Shin et al., AAAI 2024, arXiv 2312.10325).

The rescaler is causal, so that the next item can be predicted at every place; nn/sequence/frequency says how this
relates to the published filter, which reads the whole window and is trained at the last place of every prefix.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pte.backbone.sasrec import SASRec
from pte.nn.sequence.frequency import FrequencyBlock


class BSARec(SASRec):
    """alpha: share of the rescaler; c: Fourier components that count as low, over `length` places; the rest: SASRec's
    own knobs.
    """

    def __init__(self, *, length: int, alpha: float, c: int, **sasrec: Any) -> None:
        super().__init__(length=length, block=partial(FrequencyBlock, alpha=alpha, c=c, window=length), **sasrec)
