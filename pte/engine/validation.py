"""Values a person typed, looked at before anything is made: a word for a number, a number that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pte.metric.summary import KS, NAMES
from pte.schema import InputError

LEAST = {  # whole numbers, from ... on
    "seed": 0,
    "trainer.max_epochs": 1, "trainer.patience": 1, "trainer.check_val_every_n_epoch": 1, "trainer.batch_size": 1,
    "backbone.length": 1, "backbone.inner": 1, "backbone.layers": 1, "backbone.heads": 1, "backbone.steps": 1,
    "representation.width": 1,
    "encoder.batch_size": 1, "encoder.max_tokens": 1, "profiler.batch_size": 1,
    "selector.epochs": 1, "selector.batch_size": 1, "selector.group_size": 1, "selector.inner_epochs": 1,
}  # fmt: skip
CHOICES = {
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),  # weights stay fp32: best weights are ranked as fp32
    "trainer.products": ("float32", "bfloat16"),  # float16 overflows where the loss takes its exponentials unshifted
}
WORDS_TOO = ("trainer.devices", "representation.cross_attention")  # auto; residual


def check(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Refuse what differs in kind from `usual`, the same options with no knob changed, and what LEAST rules out."""
    given, shipped = _leaves(config), _leaves(usual)
    for name, value in given.items():
        expected = shipped.get(name)
        if name in WORDS_TOO or value is None:
            continue
        if isinstance(expected, bool):
            if not isinstance(value, bool):
                raise InputError(f"{name}={value}: give true or false")
        elif isinstance(expected, int | float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{name}={value}: give a number, as {expected}, which it is by default")
    for name, choices in CHOICES.items():
        if name in given and given[name] not in choices:
            raise InputError(f"{name}={given[name]}: take one of {', '.join(choices)}")
    for name, least in LEAST.items():
        value = given.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name}={'null' if value is None else value}: give a whole number, {least} or more")
    _together(config["trainer"], config["optimizer"])


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
    found: dict[str, Any] = {}
    for key, part in value.items():
        found |= _leaves(part, f"{above}{key}.") if isinstance(part, Mapping) else {f"{above}{key}": part}
    return found
