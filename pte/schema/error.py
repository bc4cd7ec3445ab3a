"""The one error users see."""

from __future__ import annotations


class InputError(ValueError):
    """A mistake in the user's input: what is wrong, where, and what to type. Printed without a traceback."""


def require(holds: bool, knob: str, value: object, sentence: str) -> None:
    """Raise InputError with the knob as it is typed and a sentence on what it may be, unless the condition holds."""
    if not holds:
        raise InputError(f"{knob}={'null' if value is None else value}: {sentence}")
