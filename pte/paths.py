"""Where things are: the shipped configuration, and the cache for downloaded files."""

from __future__ import annotations

import os
from pathlib import Path

from pte.schema.error import InputError

_PACKAGE = Path(__file__).resolve().parent

# A wheel carries the configuration inside the package; a checkout and an editable install have it beside the package.
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def cache_dir() -> Path:
    """Folder for downloaded files: $PTE_CACHE, else $XDG_CACHE_HOME/pte, else ~/.cache/pte."""
    if explicit := os.environ.get("PTE_CACHE"):
        return expanded(explicit, "PTE_CACHE").resolve()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return expanded(base, "XDG_CACHE_HOME") / "pte"
    return expanded("~/.cache/pte", "PTE_CACHE")


def expanded(place: str | os.PathLike[str], knob: str = "") -> Path:
    """The path that a knob gives, ~ expanded; InputError for the home of nobody."""
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise InputError(f"{knob}{'=' * bool(knob)}{place}: there is no such home folder") from None


RUN_KEYS = "keys.json"  # in a run folder: the store it used and the key of every stage
