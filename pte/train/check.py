"""Validation of the trainer's and the optimizer's knobs before any training. Imports no Lightning, which is slow."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, TypedDict

import torch
from torch import nn

from pte.metric.summary import KS, NAMES
from pte.nn.device import device_of
from pte.schema import InputError, Runtime, one_of, require
from pte.train.learning_rate import check as learning_rate

__all__ = [
    "NO_HOLDOUT", "NO_PAIR", "Knobs", "device", "kind", "learning_rate", "make_optimizer", "optimizer", "sparse",
    "split", "trainer",
]  # fmt: skip

MOST = 2**31 - 1
WHOLE = ("patience", "check_val_every_n_epoch", "batch_size", "batch_targets")  # 1 or more
COUNTS = {"max_epochs": 10**5, "epoch_steps": 10**5}  # 1 to these: more would not end, or not fit into memory
RANGES = {"gradient_clip": (1e-9, 1e9), "scores_mib": (1, 2**20), "warmup": (0, 1)}  # gradient_clip may be null
CHOICES = {
    "precision": ("32-true", "bf16-mixed", "16-mixed"),  # weights stay fp32: best weights are ranked as fp32
    "strategy": ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_static_graph", "fsdp", "deepspeed_stage_2"),
    "products": ("float32", "bfloat16"),  # float16 overflows where the loss takes its exponentials unshifted
}
OPTIMIZER = {"lr": (0, 10), "weight_decay": (0, 100)}  # beyond which training only overflows
KINDS = {"auto": "", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "mps": "mps"}
SHARDED = ("fsdp", "deepspeed")  # strategies that split what one GPU holds, and need GPUs
TAKE_SPARSE = ("pte.nn.kernel.lazy_adam.LazyAdam", "torch.optim.SGD")  # optimizers that take sparse gradients
WHOLE_WEIGHTS = ("32-true", "bf16-mixed")  # precisions that keep fp32 weights and scale no gradients


NO_HOLDOUT = (
    "backbone=fused fits its gates on training rows held out, and there are none: type protocol.holdout=3000, give more"
    " data, or take another backbone"
)
NO_PAIR = "no user has two training interactions, so there is nothing to learn from: give more data"


class Knobs(TypedDict):
    """The group trainer: how long, and on what; what each is stands in conf/trainer/default.yaml."""

    max_epochs: int
    patience: int
    check_val_every_n_epoch: int
    batch_size: int
    batch_targets: int
    epoch_steps: int
    warmup: float
    decay: str
    gradient_clip: float | None
    monitor: str
    products: str
    precision: str
    accelerator: Runtime[str]
    devices: Runtime[int | str]
    oversubscribe: Runtime[bool]
    strategy: Runtime[str]
    compile: Runtime[bool]
    scores_mib: Runtime[int]


def trainer(knobs: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
    """InputError for knobs out of range, or incompatible with one another."""
    if missing := [name for name in Knobs.__annotations__ if name not in knobs]:
        raise InputError(
            f"conf/trainer has no {missing[0]}: let it begin with defaults: [default], and let the backbone have a fit"
        )
    for name, choices in CHOICES.items():
        one_of(f"trainer.{name}", knobs[name], choices)
    for name in WHOLE:
        require(_within(knobs[name], 1, MOST, int), f"trainer.{name}", knobs[name], "give a whole number, 1 or more")
    for name, most in COUNTS.items():
        require(_within(knobs[name], 1, most, int), f"trainer.{name}", knobs[name], f"give a whole number, 1 to {most}")
    ranges = {f"trainer.{name}": (knobs[name], *bounds) for name, bounds in RANGES.items()}
    ranges |= {f"optimizer.{name}": (optimizer.get(name), *bounds) for name, bounds in OPTIMIZER.items()}
    for name, (value, low, high) in ranges.items():
        may_be_null = not name.startswith("trainer.") or name == "trainer.gradient_clip"
        fine = (value is None and may_be_null) or _within(value, low, high, int | float)
        require(fine, name, value, f"give a number from {low} to {high}")
    learning_rate(knobs["warmup"], knobs["decay"])
    betas = optimizer.get("betas") or ()
    require(all(0 <= beta < 1 for beta in betas), "optimizer.betas", list(betas), "give numbers from 0, below 1")
    _together(knobs, optimizer)


def _within(value: Any, low: float, high: float, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high


def kind(knobs: Mapping[str, Any]) -> str:
    """The backend: cpu, cuda or mps. InputError for another accelerator."""
    one_of("trainer.accelerator", knobs["accelerator"], KINDS)
    return KINDS[knobs["accelerator"]] or device_of("auto").type


def device(knobs: Mapping[str, Any], processes: int) -> None:
    """InputError for a device that is not there, or more of them than there are."""
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
    if str(knobs["strategy"]).startswith(SHARDED) and backend != "cuda":
        raise InputError(f"trainer.strategy={knobs['strategy']} needs GPUs, and there are none: take trainer=cpu")
    if backend == "cpu" and knobs["precision"] == "16-mixed":
        raise InputError("trainer.precision=16-mixed needs a GPU: take bf16-mixed, or 32-true")


def _together(knobs: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
    """InputError for knobs that are valid alone and not together; they would fail late."""
    epochs, every = knobs["max_epochs"], knobs["check_val_every_n_epoch"]
    if epochs % every:
        raise InputError(
            f"trainer.max_epochs={epochs} ends between two validations, so that its last epochs could never be chosen:"
            f" trainer.check_val_every_n_epoch={every} must divide it"
        )
    known = [f"{kind}/all/{name}@{k}" for kind in ("masked", "unmasked") for name in NAMES for k in KS]
    if knobs["monitor"] not in known:
        raise InputError(
            f"trainer.monitor={knobs['monitor']} is not measured; write RANKING/all/NAME@K, such as"
            f" masked/all/NDCG@10: masked or unmasked; {', '.join(NAMES)}; {', '.join(map(str, KS))}"
        )
    sharded, mixed = knobs["strategy"].startswith(SHARDED), knobs["precision"] != "32-true"
    if knobs["strategy"].startswith("deepspeed") and find_spec("deepspeed") is None:
        raise InputError(
            f"trainer.strategy={knobs['strategy']}: deepspeed is not installed. Type: pip install deepspeed, or take"
            " trainer=ddp"
        )
    if sharded and mixed:
        raise InputError(
            f"trainer.strategy={knobs['strategy']} rounds the weights themselves under trainer.precision="
            f"{knobs['precision']}, and rounded scores tie: take trainer.precision=32-true with it"
        )
    if knobs["gradient_clip"] is not None and knobs["strategy"] == "fsdp":
        raise InputError(f"trainer.gradient_clip={knobs['gradient_clip']} does not go with fsdp: take null, or ddp")
    if knobs["gradient_clip"] is not None and mixed and optimizer.get("fused"):
        raise InputError(
            f"trainer.gradient_clip={knobs['gradient_clip']} with trainer.precision={knobs['precision']} needs"
            " optimizer.fused=false: type it as well"
        )


def optimizer(make: Callable[..., torch.optim.Optimizer]) -> None:
    """Refuse what torch refuses, in its words.

    Made is a subclass whose add_param_group is undecorated: torch's decorator would import its compiler, for seconds.
    """
    if isinstance(make, partial) and isinstance(kind := make.func, type) and issubclass(kind, torch.optim.Optimizer):
        add = kind.add_param_group
        plain: Any = type(kind.__name__, (kind,), {"add_param_group": getattr(add, "__wrapped__", add)})
        make = partial(plain, *make.args, **make.keywords)
    make_optimizer(make, [nn.Parameter(torch.zeros(1))])


def make_optimizer(make: Callable[..., torch.optim.Optimizer], parameters: Any) -> torch.optim.Optimizer:
    """The optimizer over some parameters; InputError for a knob that torch refuses."""
    try:
        return make(parameters)
    except (TypeError, ValueError, RuntimeError) as error:  # a knob that torch refuses
        knob = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if knob:
            raise InputError(f"optimizer.{knob[1]}: there is no such knob") from None
        value = str(error).rpartition(": ")[2]
        named = [name for name, each in getattr(make, "keywords", {}).items() if str(each) == value]
        raise InputError(f"optimizer{''.join(f'.{name}={value}' for name in named[:1])}: {error}") from None


def split(facts: Mapping[str, Any], *, trained: bool, stacked: bool, processes: int, devices: int | str) -> None:
    """InputError for a split, by its facts.json, that training or the gates of `stacked` could do nothing with."""
    held_out = facts.get("holdout_rows", 0) if stacked else 0
    if stacked and not held_out:
        raise InputError(NO_HOLDOUT)
    if trained and facts["train_rows"] - held_out <= facts["train_users"]:  # a row each
        raise InputError(NO_PAIR)
    if facts["valid_cases"] < processes:
        raise InputError(
            f"trainer.devices={devices}: {facts['valid_cases']} validation cases are fewer than processes: give fewer"
            " devices, or more data"
        )


def sparse(knobs: Mapping[str, Any], optimizer: str) -> None:
    """InputError for knobs that would turn sparse gradients dense, or cannot take them."""
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
