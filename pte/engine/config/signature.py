"""The constructor's signature is the schema: a value of another kind than a keyword's annotation is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, is_typeddict

from pte.schema import InputError, typed
from pte.schema.knob import keywords, leaves, mark

KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a word", "None": "null"}
MOST, LEAST, LARGEST = 2**63 - 1, 1e-30, 1e9  # of whole numbers; of others, which products of fp32 would lose
LISTS = {"Sequence[int]": "whole numbers", "Sequence[float]": "numbers", "Sequence[str]": "words"}
KINDS |= {kind: f"a list of {noun}" for kind, noun in LISTS.items()}


def check(values: Mapping[str, Any], name: str, locate: Callable[[str], Any]) -> None:
    """InputError for the first knob of `values`, or of a part in it, that its class does not take. name: as typed."""
    bounded = str(values.get("_target_", "pte.")).startswith(("pte.", "torch."))  # others may count seconds
    for knob, value in leaves(values, name) if bounded else ():
        if isinstance(value, int) and abs(value) > MOST:
            raise InputError(f"{knob}={value}: no machine counts so far; give a smaller number")
        if isinstance(value, float) and math.isfinite(value) and value and not LEAST <= abs(value) <= LARGEST:
            raise InputError(f"{knob}={value}: give 0, or a number from {LEAST:g} to {LARGEST:g}")
    for at, target, knobs in parts(values, name):
        kind = locate(target)
        annotation = {key: kinds_of(each) for key, each in keywords(kind).items()}
        for key, value in knobs.items():
            if is_typeddict(kind) and key not in annotation:  # which takes any
                raise InputError(f"{at}.{key}: there is no such knob; there are {', '.join(annotation)}")
            kinds = annotation.get(key)
            if kinds and not any(fits(value, kind) for kind in kinds):
                take = " or ".join(KINDS[kind] for kind in kinds)
                raise InputError(f"{at}.{key}={typed(value)}: give {take}")


def parts(values: Any, name: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Dotted name, `_target_` and knobs of a config and of every part in it."""
    if isinstance(values, Mapping):
        if isinstance(values.get("_target_"), str):
            yield name, values["_target_"], {k: v for k, v in values.items() if not k.startswith("_")}
        for key, part in values.items():
            yield from parts(part, f"{name}.{key}")


def kinds_of(annotation: Any) -> list[str]:
    """The plain kinds that an annotation allows; none where it allows anything else."""
    kinds = [kind.strip() for kind in mark(annotation)[1].split("|")]
    return kinds if all(kind in KINDS for kind in kinds) else []


def fits(value: Any, kind: str) -> bool:
    """Whether a value read from yaml is of a kind; a whole number is a number too, and a finite one."""
    if kind == "None" or value is None:
        return kind == "None" and value is None
    if kind in LISTS:
        inner = kind.removeprefix("Sequence[").removesuffix("]")
        return isinstance(value, list | tuple) and all(fits(each, inner) for each in value)
    if kind == "str":  # digits are read as a number, and are a word all the same
        return not isinstance(value, bool | list | Mapping)
    if kind == "bool":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or (kind == "float" and math.isfinite(value))
