"""The losses of nn/loss by name, as `backbone.loss` and `backbone.loss_knobs` ask for them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pte.nn.kernel.cross_entropy import KERNELS
from pte.nn.loss.catalogue import BinaryCrossEntropy, CrossEntropy, InfoNCE, SampledSoftmax
from pte.nn.loss.negative import Met
from pte.schema import InputError


class Objective(Protocol):
    """A loss and the score of the same geometry."""

    @property
    def excludes_history(self) -> bool:
        """Whether `met` should hold whole histories: `Met.histories`; else None will do."""
        ...

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, met: Met | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """Scalar from states (T, D), table (N+1, D), targets (T,) in 1..N; `met`: what is not drawn against them."""
        ...

    def score(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(B, N) from states (B, D) and table (N+1, D)."""
        ...

    def vectors(self, hidden: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) and (N, D), whose inner products are the scores."""
        ...


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
    if negatives is not None and negatives < 1:
        raise InputError(
            f"backbone.loss_knobs.negatives={negatives}: give a positive number, or null for the paper's own"
        )
    if temperature <= 0:
        raise InputError(
            f"backbone.loss_knobs.temperature={temperature}: it divides the cosines, so it must be positive"
        )
    if not (0 <= calibration <= 1 and 0 < uniform <= 1):
        raise InputError(
            f"backbone.loss_knobs: calibration={calibration} lies in 0..1 and uniform={uniform} above 0, up to 1"
        )
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
        case "ce" if idle := _given(negatives=negatives, shared=shared, exclude_history=exclude_history):
            raise InputError(
                f"backbone.loss=ce scores every item and draws none, so backbone.loss_knobs.{idle} does nothing: "
                "leave it out, or take backbone.loss=sampled (or bce, gbce, infonce)"
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


def _given(**knobs: object) -> str:
    """The first that is not None, as it would be typed; "" where none is."""
    return next((f"{name}={value}" for name, value in knobs.items() if value is not None), "")
