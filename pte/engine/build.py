"""Objects from config groups: a group's `_target_` is the class, its other knobs are the constructor's keywords."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from pte.schema import InputError

TRUSTED = ("pte.", "torch.", "lightning.", "transformers.")  # a config may build only what these hold


def construct(values: Mapping[str, Any], where: str, **facts: Any) -> Any:
    """The object that a config describes by its `_target_` and knobs; facts learnt at run time are keywords."""
    for name in _targets(values):
        if not name.startswith(TRUSTED):
            raise InputError(f"{where}: _target_={name} cannot be built from a config, only names under {TRUSTED}")
    target = values.get("_target_")
    if target is None:
        raise InputError(f"{where} has no _target_: it must name the class to build")
    try:
        return instantiate(dict(values), _convert_="all", **facts)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, TypeError) and "unexpected keyword" in str(cause):
            raise InputError(f"{where}: {cause}. Its knobs are the keywords of {target}.") from None
        if isinstance(cause, TypeError | ArithmeticError):  # a value of another kind than the constructor counts with
            raise InputError(f"{where}: {target} cannot be built with these knobs ({cause})") from cause
        raise cause or error from None


def _targets(value: Any) -> Iterator[str]:
    """Every `_target_` in a config, however deep."""
    if isinstance(value, Mapping):
        yield from (str(v) for k, v in value.items() if k == "_target_")
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _targets(part)


def _knobs(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what it tells other groups (`fit`), however deep a part with a `fit` of its own may lie."""
    return {k: _knobs(v) if isinstance(v, Mapping) else v for k, v in values.items() if k != "fit"}


def builder(config: Mapping[str, Any]) -> Any:
    """`build(group, **facts)`: the object that a config group describes."""

    def build(group: str, **facts: Any) -> Any:
        return construct(_knobs(config[group]), f"conf/{group}", **facts)

    return build
