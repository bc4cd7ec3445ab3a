"""What a class of a user's own must offer, by the group that builds it: looked for while planning, before any work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pte.asset.code import SHIPPED, within
from pte.engine.config.signature import parts
from pte.schema import InputError

OFFERS: Mapping[str, tuple[str, tuple[str, ...]]] = {  # group: contract, and what of it has no default
    "dataset": ("pte.stage.interactions.Dataset", ("fingerprint", "read")),
    "protocol": ("collections.abc.Callable", ("__call__",)),
    "profiler": ("pte.profiler.base.Profiler", ("num_candidates", "profile", "rebuild")),
    "encoder": ("pte.encoder.base.Encoder", ("known_width", "width", "encode", "too_long", "identity", "card")),
    "reward": ("pte.reward.base.Reward", ("check", "score")),
    "selector": ("pte.selector.base.Selector", ("reads_reward", "withheld_share", "select")),
    "representation": ("pte.nn.item_table.ItemTable", ("width", "table")),
    "backbone": ("pte.nn.contract.Backbone", ("num_items", "length", "score")),
}
BY_ID = ("encode", "too_long", "width")  # what an encoder that reads ids in place of texts does without
PART = "pte.reward.mixture.Mixture"  # whose parts are classes of their own


def check(part: Any, values: Mapping[str, Any], group: str) -> None:
    """InputError for the first thing that an object built from `values` does not have, if its class is not of pte."""
    target = str(values["_target_"])
    if target == PART:
        kinds = {at.removeprefix(f"{group}.parts."): each for at, each, _ in parts(values, group)}
        for name, inner in part.parts.items():
            if "score" not in dir(inner):
                raise lacking(f"{group}.parts.{name}", kinds.get(name, type(inner).__name__), "score")
    if group not in OFFERS or within(target, SHIPPED):
        return
    contract, names = OFFERS[group]
    if group == "backbone":
        if contract not in map(_name, type(part).__mro__):
            raise lacking(group, target, "attach")
        names = (*names, "loss" if part.trained else "fit")
    for name in names:
        if not _has(part, name, contract) and not (name in BY_ID and getattr(part, "reads_ids", False)):
            raise lacking(group, target, name)


def lacking(at: str, target: str, name: str) -> InputError:
    """The sentence on a class without something that its group is asked for."""
    inherit = f" let it inherit {OFFERS[at][0]};" if at in ("backbone", "representation") else ""
    return InputError(
        f"{at}._target_={target}: the class has no {name};{inherit} docs/own_classes.md lists what each must offer"
    )


def _has(part: Any, name: str, contract: str) -> bool:
    """Whether an object has an attribute, and not from the contract, which is empty there."""
    owner = next((kind for kind in type(part).__mro__ if name in vars(kind)), None)
    return name in dir(part) if owner is None else _name(owner) != contract


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
