"""The one error users see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Kind = TypeVar("Kind")
_PYTHON = re.compile(r"(?<=[\w\]]=)(?:None|True|False)\b")  # values of knobs, as f-strings write them


class InputError(ValueError):
    """A mistake in the user's input: what is wrong, where, and what to type. Printed without a traceback.

    A knob's value that is written as Python writes it (None) stands there as it is typed (null).
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(_PYTHON.sub(lambda match: typed(WORDS[match[0]]), sentence))


def one_of(knob: str, value: object, choices: Iterable[object]) -> None:
    """InputError with the knob as it is typed where the value is none of these."""
    choices = list(choices)
    require(value in choices, knob, value, f"take one of {', '.join(map(str, choices))}")


def of_kind(value: object, kind: type[Kind], source: object, verb: str) -> Kind:
    """`value`, which `source`, of a class that may be a user's, gave by `verb`; InputError where it is another kind."""
    if isinstance(value, kind):
        return value
    given = f"{type(source).__name__}.{verb} gave {type(value).__name__}"
    raise InputError(f"{given}: let it give {kind.__module__}.{kind.__qualname__}")


def first_line(error: Exception) -> str:
    """Of a library's message, or the name of its class where it says nothing."""
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split())


WORDS = {"None": None, "True": True, "False": False}


def typed(value: object) -> str:
    """A knob's value as it is typed on the command line: null, true, [a,b], {a:1}."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{typed(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def require(holds: bool, knob: str, value: object, sentence: str) -> None:
    """Raise InputError with the knob as it is typed and a sentence on what it may be, unless the condition holds."""
    if not holds:
        raise InputError(f"{knob}={typed(value)}: {sentence}")
