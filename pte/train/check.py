"""Knobs of the trainer and the optimizer looked at before anything is trained. Imports no Lightning, which is slow."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from pte.schema import InputError
from pte.train.learning_rate import check as learning_rate

__all__ = ["device", "kind", "learning_rate", "make_optimizer", "optimizer", "sparse"]

KINDS = {"auto": "", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "mps": "mps"}
TAKE_SPARSE = ("pte.nn.kernel.lazy_adam.LazyAdam", "torch.optim.SGD")  # optimizers that take sparse gradients
WHOLE_WEIGHTS = ("32-true", "bf16-mixed")  # precisions that keep fp32 weights and scale no gradients


def kind(knobs: Mapping[str, Any]) -> str:
    """What trains: cpu, cuda or mps."""
    accelerator = knobs["accelerator"]
    if accelerator not in KINDS:
        raise InputError(f"trainer.accelerator={accelerator}: take one of {', '.join(KINDS)}")
    return KINDS[accelerator] or ("cuda" if torch.cuda.is_available() else "cpu")


def device(knobs: Mapping[str, Any], processes: int) -> None:
    """Refuse a device that is not there, or more of them than there are."""
    backend = kind(knobs)
    there = {
        "cpu": max(2, os.cpu_count() or 1),  # two processes can be tried anywhere
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[backend]
    if not there:
        raise InputError(f"trainer.accelerator={knobs['accelerator']}: there is no GPU here; take trainer=cpu")
    if processes > there:
        noun = "cores" if backend == "cpu" else "GPUs"
        raise InputError(f"trainer.devices={knobs['devices']}: this machine has {there} {noun}; give at most as many")
    if str(knobs["strategy"]).startswith("fsdp") and backend != "cuda":
        raise InputError(f"trainer.strategy={knobs['strategy']} needs GPUs, and there are none: take trainer=cpu")
    if backend == "cpu" and knobs["precision"] == "16-mixed":
        raise InputError("trainer.precision=16-mixed needs a GPU: take bf16-mixed, or 32-true")


def optimizer(make: Callable[..., torch.optim.Optimizer]) -> None:
    """Refuse what torch refuses, in its words."""
    make_optimizer(make, [nn.Parameter(torch.zeros(1))])


def make_optimizer(make: Callable[..., torch.optim.Optimizer], parameters: Any) -> torch.optim.Optimizer:
    """The optimizer over some parameters."""
    try:
        return make(parameters)
    except (TypeError, ValueError, RuntimeError) as error:  # a knob that torch refuses
        raise InputError(f"optimizer: {error}") from None


def sparse(knobs: Mapping[str, Any], optimizer: str) -> None:
    """Refuse what would turn sparse gradients dense, or cannot take them."""
    if optimizer not in TAKE_SPARSE:
        raise InputError(f"representation.sparse=true and {optimizer} do not go together: take optimizer=sparse_adam")
    if knobs["gradient_clip"] is not None:
        raise InputError(
            f"trainer.gradient_clip={knobs['gradient_clip']} needs dense gradients: "
            "take trainer.gradient_clip=null, or representation.sparse=false"
        )
    if knobs["strategy"] != "auto" or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "representation.sparse=true trains in one process, its rows are not added up over several: "
            "take trainer.devices=1 trainer.strategy=auto, or representation.sparse=false"
        )
    if knobs["precision"] not in WHOLE_WEIGHTS:
        raise InputError(
            f"trainer.precision={knobs['precision']} with representation.sparse=true: the table's weights and moments "
            f"must be fp32, so take {' or '.join(WHOLE_WEIGHTS)}"
        )
