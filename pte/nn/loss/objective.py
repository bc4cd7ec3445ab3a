"""The losses of nn/loss by name, as `backbone.loss` and `backbone.loss_knobs` ask for them."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import torch
from torch import Tensor

from pte.nn.kernel.cross_entropy import KERNELS
from pte.nn.loss.catalogue import BinaryCrossEntropy, CrossEntropy, InfoNCE, SampledSoftmax
from pte.nn.loss.negative import Exclusion
from pte.schema import InputError, require


class Objective(Protocol):
    """A loss and the score of the same geometry."""

    @property
    def excludes_history(self) -> bool:
        """Whether `exclusion` should hold whole histories: `Exclusion.histories`; else None will do."""
        ...

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """Scalar from states (T, D), table (N+1, D), targets (T,) in 1..N; exclusion: never negatives of theirs."""
        ...

    def score(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(B, N) from states (B, D) and table (N+1, D)."""
        ...

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) and (N, D), whose inner products are the scores."""
        ...


SAMPLING = ("negatives", "shared", "exclude_history")
READS: dict[str, tuple[str, ...]] = {
    "ce": ("kernel",), "sampled": (*SAMPLING, "uniform"), "bce": SAMPLING, "gbce": (*SAMPLING, "calibration"),
    "infonce": (*SAMPLING, "temperature"),
}  # fmt: skip


def objective(
    name: str,
    *,
    negatives: int | None = None,
    temperature: float = 0.07,
    calibration: float = 0.75,
    uniform: float = 0.5,
    shared: bool | None = None,
    exclude_history: bool | None = None,
    kernel: str = "chunked",
    product: torch.dtype = torch.float32,
    sparse: bool = False,
) -> Objective:
    """The objective called `name`; None takes what the loss's own paper does. Ours: infonce's negatives are shared and
    leave out histories, where AlphaFuse draws 64 for each target and leaves out the target alone.

    sparse: the table's gradient is to hold the rows of targets and negatives alone, so that a step costs the same
    whatever the size of the catalogue.
    """
    check(
        name, negatives=negatives, temperature=temperature, calibration=calibration, uniform=uniform, shared=shared,
        exclude_history=exclude_history, kernel=kernel,
    )  # fmt: skip
    own: dict[str, bool] = {"sparse": sparse}  # and what differs from the class's own defaults
    if shared is not None:
        own["shared"] = shared
    if exclude_history is not None:
        own["excludes_history"] = exclude_history
    match name:
        case "ce" if sparse:
            raise InputError(
                "backbone.loss=ce scores every item in every step, so representation.sparse=true saves nothing: "
                "take backbone.loss=sampled (or bce, gbce, infonce), or representation.sparse=false"
            )
        case "ce" if kernel not in KERNELS:
            raise InputError(
                f"backbone.loss_knobs.kernel={kernel}: there is no such kernel; take {' or '.join(KERNELS)}"
            )
        case "ce":
            return CrossEntropy(product=product, kernel=kernel)
        case "sampled":  # eSASRec's number
            return SampledSoftmax(negatives or 256, uniform=uniform, **own)
        case "bce":  # SASRec's
            return BinaryCrossEntropy(negatives or 1, **own)
        case "gbce":  # gSASRec's
            return BinaryCrossEntropy(negatives or 256, calibration=calibration, **own)
        case "infonce":  # AlphaFuse's
            return InfoNCE(negatives or 64, temperature=temperature, **own)
    raise InputError(f"backbone.loss={name}: there is no such loss; take ce, sampled, bce, gbce or infonce")


def check(name: str, **knobs: Any) -> None:
    """Refuse values that cannot be, and knobs of another loss: they would do nothing."""
    shipped = inspect.signature(objective).parameters
    idle = [k for k, v in knobs.items() if name in READS and k not in READS[name] and v != shipped[k].default]
    if idle:
        raise InputError(
            f"backbone.loss_knobs.{idle[0]}={knobs[idle[0]]} does nothing with backbone.loss={name}, which reads"
            f" {', '.join(READS[name])}: leave it out, or take {_readers(idle[0])}"
        )
    negatives, temperature = knobs["negatives"], knobs["temperature"]
    paper = "give a positive number, or null for the paper's own"
    require(negatives is None or negatives >= 1, "backbone.loss_knobs.negatives", negatives, paper)
    divides = "it divides the cosines, so it must be positive"
    require(temperature > 0, "backbone.loss_knobs.temperature", temperature, divides)
    calibration, uniform = knobs["calibration"], knobs["uniform"]
    require(0 <= calibration <= 1, "backbone.loss_knobs.calibration", calibration, "from 0 to 1")
    require(0 < uniform <= 1, "backbone.loss_knobs.uniform", uniform, "above 0, up to 1")


def _readers(knob: str) -> str:
    """The losses that read a knob, as they are typed."""
    return "backbone.loss=" + " or ".join(name for name, reads in READS.items() if knob in reads)
