"""The one error users see."""

from __future__ import annotations


class InputError(ValueError):
    """A mistake in what the user gave: says what is wrong, where, and what to type. Printed without a traceback."""
