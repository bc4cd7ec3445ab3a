"""gBCE: binary cross-entropy calibrated for the negatives it does not draw (gSASRec, Petrov & Macdonald, RecSys 2023).

With K of N - 1 possible negatives a model learns too high probabilities; calibration t = 1 undoes that, 0 does nothing.
log sigma^beta is written as -beta softplus(-s), which needs no float64 clipping to be exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from pte.nn.loss.bce import BinaryCrossEntropy
from pte.schema import require


@dataclass(frozen=True)
class GBCE(BinaryCrossEntropy):
    """calibration: gSASRec's t."""

    negatives: int = 256
    calibration: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.calibration <= 1, "backbone.loss.calibration", self.calibration, "from 0 to 1")

    def beta(self, num_items: int) -> float:
        """beta = alpha (t (1 - 1/alpha) + 1/alpha), alpha = K / (N - 1): Eq. 12. t = 0: 1; t = 1: alpha."""
        alpha = min(1.0, self.negatives / max(1, num_items - 1))
        return alpha * (self.calibration * (1 - 1 / alpha) + 1 / alpha)
