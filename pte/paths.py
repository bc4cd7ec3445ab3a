"""Where things are: the shipped configuration, the cache for downloaded files; and places that cannot be used."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Mapping
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


def expanded_folder(place: str | os.PathLike[str], knob: str) -> Path:
    """The same for a folder that is there, or is to be; InputError for a file."""
    folder = expanded(place, knob)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{knob}={place}: it is a file: give a folder")
    return folder


RUN_KEYS = "keys.json"  # in a run folder: the store it used and the key of every stage


PLACES = (  # errors of a place that a person named
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP,
    errno.EIO, errno.ESTALE,
)  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL = re.compile(  # in the words of libraries, which name neither number nor file: Rust's, NumPy, torch, SQLite
    r"[Ee](?:rrno|rror) (?:27|28|122)\b|\d+ requested and \d+ written|inline_container\.cc|PytorchStreamWriter"
    r"|disk is full"
)


def unusable(error: Exception, folders: Mapping[str, Path]) -> str:
    """A sentence on a place that cannot be used or takes no more, "" where the error is another.

    folders: what is written to, by the words that name another one; of a full disk that is nowhere named, the one with
    the least space left is reported.
    """
    number = error.errno if isinstance(error, OSError) else None
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy the second one
    if number in FULL or (number is None and _FULL.search(str(error))):
        words = min(folders, key=lambda words: free_bytes(folders[words]))
        place = Path(os.fsdecode(named)) if named is not None else folders[words]
        within = [words for words, folder in folders.items() if folder in (place, *place.parents)]
        return (
            f"{place} could not be written to its end, and {free_bytes(place) / 2**20:,.1f} MiB are free on its disk:"
            f" free more, or name another place ({(within or [words])[0]})"
        )
    if number in PLACES:
        return f"{named or 'a file'}: {os.strerror(number)}: mend it, or name another place"
    return ""


def free_bytes(place: Path) -> int:
    """Bytes that can be written on the disk of a place, which need not be there yet."""
    for folder in (place, *place.absolute().parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return 0
