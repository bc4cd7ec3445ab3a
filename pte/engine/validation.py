"""Values a person typed, looked at before anything is made: a word for a number, a number that cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pte.metric.summary import KS, NAMES
from pte.schema import InputError

HUGE = 2**31 - 1
WHOLE = {  # whole numbers: least and most
    "trainer.max_epochs": (1, HUGE), "trainer.patience": (1, HUGE), "trainer.check_val_every_n_epoch": (1, HUGE),
    "trainer.batch_size": (1, HUGE),
    "backbone.length": (1, HUGE), "backbone.inner": (1, HUGE), "backbone.layers": (1, 256), "backbone.heads": (1, 4096),
    "backbone.hidden": (1, HUGE),
    "representation.width": (1, HUGE), "representation.hidden": (1, HUGE), "representation.layers": (1, 256),
    "encoder.batch_size": (1, HUGE), "encoder.max_tokens": (1, HUGE),
    "profiler.batch_size": (1, HUGE), "profiler.num_candidates": (1, 1000), "profiler.rounds": (1, 100),
    "selector.epochs": (1, HUGE), "selector.batch_size": (1, HUGE), "selector.group_size": (1, 4096),
    "selector.inner_epochs": (1, 1000),
}  # fmt: skip
SEEDS = 2**32 - 1  # what every generator takes
RANGES = {  # numbers: least and most, both included
    "optimizer.lr": (0, 10), "optimizer.weight_decay": (0, 100), "trainer.gradient_clip": (1e-9, 1e9),
    "trainer.scores_mib": (1, 2**20), "representation.eps": (1e-12, 10), "backbone.likeness.eps": (1e-12, 10),
    "reward.eps": (1e-12, 10), "backbone.fallback": (0, 1e9),
}  # fmt: skip
PRODUCTS = ("float32", "bfloat16")  # float16 overflows where the loss takes its exponentials unshifted
CHOICES = {
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),  # weights stay fp32: best weights are ranked as fp32
    "trainer.strategy": ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_static_graph", "fsdp"),
    "trainer.products": PRODUCTS,
}
WORDS_TOO = ("trainer.devices", "representation.cross_attention")  # auto; residual
# What stands in the shipped options as null, by a name's last part.
NUMBERS = (
    "components", "dim", "threshold", "budget_tokens", "min_rating", "max_items", "max_users",
    "max_interactions", "gradient_clip",
)  # fmt: skip
LENGTHS = {"optimizer.betas": 2, "protocol.shares": 3}


def check(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Refuse what differs in kind from `usual`, the same options with no knob changed, and what the tables rule out."""
    given, shipped = _leaves(config), _leaves(usual)
    for name, value in given.items():
        above = name.rpartition(".")[0]
        if shipped.get(above) is not None:
            raise InputError(f"{above}={{{name.rpartition('.')[2]}: ...}}: give one value, as {_typed(shipped[above])}")
        if any(other.startswith(f"{name}.") for other in shipped):
            inside = [other for other in shipped if other.startswith(f"{name}.")]
            raise InputError(f"{name}={value}: it holds knobs of its own, such as {inside[0]}={shipped[inside[0]]}")
        if name not in WORDS_TOO and value is not None:
            _kind(name, value, shipped.get(name))
    for name, choices in CHOICES.items():
        if name in given and given[name] not in choices:
            raise InputError(f"{name}={given[name]}: take one of {', '.join(choices)}")
    whole = {name: bounds for name, bounds in WHOLE.items() if name in given}
    whole |= {name: (0, SEEDS) for name in given if name.rpartition(".")[2] in ("seed", "cut_seed")}
    for name, (least, most) in whole.items():
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{name}={_typed(value)}: give a whole number, {_span(least, most)}")
    for name, (low, high) in RANGES.items():
        value = given.get(name)
        if isinstance(value, int | float) and not low <= value <= high:
            raise InputError(f"{name}={value}: give a number from {low} to {high}")
    _together(config["trainer"], config["optimizer"])


def _kind(name: str, value: Any, expected: Any) -> None:
    """Refuse a value of another kind than the shipped one."""
    last = name.rpartition(".")[2]
    if last == "_target_" and not isinstance(value, str):
        raise InputError(f"{name}={value}: give the name of a class, as pte.backbone.sasrec.SASRec")
    if last == "product" and value not in PRODUCTS:
        raise InputError(f"{name}={value}: take one of {', '.join(PRODUCTS)}")
    if isinstance(expected, bool):
        if not isinstance(value, bool):
            raise InputError(f"{name}={value}: give true or false")
    elif isinstance(expected, int | float) or (expected is None and last in NUMBERS):
        if not _number(value):
            usual = "null, which" if expected is None else f"{expected}, which"
            raise InputError(f"{name}={value}: give a number, as {usual} it is by default")
    elif isinstance(expected, str) and isinstance(value, list | bool):
        raise InputError(f"{name}={value}: give one word, as {expected}, which it is by default")
    elif isinstance(expected, list):
        numbers = all(map(_number, expected))
        if not isinstance(value, list) or (expected and numbers and not all(map(_number, value))):
            raise InputError(f"{name}={value}: give a list, as {_typed(expected)}, which it is by default")
        if len(value) != LENGTHS.get(name, len(value)):
            raise InputError(f"{name}={_typed(value)}: give {LENGTHS[name]} numbers, as {_typed(expected)}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _typed(value: Any) -> str:
    """As it is typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    return "null" if value is None else str(value)


def _span(least: int, most: int) -> str:
    return f"{least} or more" if most == HUGE else f"{least} to {most}"


def _together(knobs: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
    """Refuse knobs of the trainer that each can be, but not beside the others; they would fail late."""
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
    sharded, mixed = "fsdp" in str(knobs["strategy"]), knobs["precision"] != "32-true"
    if sharded and mixed:
        raise InputError(
            f"trainer.strategy={knobs['strategy']} rounds the weights themselves under trainer.precision="
            f"{knobs['precision']}, and rounded scores tie: take trainer.precision=32-true with it"
        )
    if knobs["gradient_clip"] is not None and sharded:
        raise InputError(f"trainer.gradient_clip={knobs['gradient_clip']} does not go with fsdp: take null, or ddp")
    if knobs["gradient_clip"] is not None and mixed and optimizer.get("fused"):
        raise InputError(
            f"trainer.gradient_clip={knobs['gradient_clip']} with trainer.precision={knobs['precision']} needs"
            " optimizer.fused=false: type it as well"
        )


def _leaves(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted name -> value; lists are values."""
    leaves: dict[str, Any] = {}
    for key, part in value.items():
        leaves |= _leaves(part, f"{above}{key}.") if isinstance(part, Mapping) else {f"{above}{key}": part}
    return leaves
