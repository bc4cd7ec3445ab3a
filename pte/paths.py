"""Where things are: the shipped configuration, and the cache for downloaded files."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

# A wheel carries the configuration inside the package; a checkout and an editable install have it beside the package.
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def cache_dir() -> Path:
    """Folder for downloaded files: $PTE_CACHE, else $XDG_CACHE_HOME/pte, else ~/.cache/pte."""
    explicit = os.environ.get("PTE_CACHE")
    if explicit:
        return Path(explicit).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "pte"


RUN_KEYS = "keys.json"  # in a run folder: the store it used and the key of every stage
