"""The local path of an asset: fetched once, or built once from another."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pte.asset.cache as cache
from pte.artifact import digest
from pte.asset.code import sources
from pte.asset.origin import Remote, UnreachableError, hub, web, wheel
from pte.paths import expanded
from pte.schema import InputError, require
from pte.schema.knob import leaves

URI = re.compile(r"(pypi|https?|file|hf):")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+$")  # owner/name, as models are named without hf: before it


def fetch(uri: str, *, sha256: str | None = None) -> Path:
    """The local path of an asset. sha256: of the file; of the wheel where a folder of a wheel is requested."""
    remote = _remote(uri)
    if remote is None:
        return _local(uri, sha256)
    if cache.trusted(remote.target, sha256):
        return remote.target
    with cache.exclusive(remote.target):
        if cache.trusted(remote.target, sha256):  # another process was first, or a person put it there
            return remote.target
        with cache.scratch_path(remote.target) as scratch:
            try:
                remote.bring(scratch, sha256)
            except UnreachableError as error:
                reason = " ".join(str(error).split())[:300]
                if remote.target.exists():
                    reason += f"; what lies at {remote.target} is damaged or not the one asked for"
                raise InputError(f"cannot get {uri} ({reason}). By hand: {remote.by_hand}; then run again") from None
            if scratch.is_file():
                cache.verify(scratch, sha256, uri)
            cache.publish(scratch, remote.target, sha256)
    return remote.target


def cached(uri: str, sha256: str | None = None) -> bool:
    """Whether `fetch` would find the asset on this machine."""
    remote = _remote(uri)
    return remote is None or cache.trusted(remote.target, sha256)


def derive(source: Path, name: str, build: Callable[[Path], None]) -> Path:
    """A folder that `build(folder)` fills from `source`, cached by the source's content and `name`.

    Give a new name (weights-v2) when `build` changes: only name and content are looked at.
    """
    target = cache.root() / "derived" / f"{name}-{content(source)[:16]}"
    if cache.trusted(target, None):
        return target
    with cache.exclusive(target):
        if not cache.trusted(target, None):
            with cache.scratch_path(target) as scratch:
                scratch.mkdir()
                build(scratch)
                cache.publish(scratch, target, None)
    return target


def knob_content(knobs: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of what is of one's own and may be written anew: where a group's `model` or `file` is, and its classes."""
    hashes = sources(knobs)
    for name, value in leaves(knobs):
        part, _, knob = name.rpartition(".")
        if part and knob in ("model", "file") and (sha256 := named_content(value, name)):
            hashes[part if knob == "model" else name] = sha256
    return hashes


def _remote(uri: str) -> Remote | None:
    """What a URI names, None for a local path."""
    if re.match("https?:", uri):
        return web(uri)
    if uri.startswith("hf:"):
        return hub(uri)
    if uri.startswith("pypi:"):
        return wheel(uri)
    return None


def local_path(uri: str, knob: str = "") -> Path:
    """The path that a plain path or a file: URI names, ~ expanded."""
    return expanded(re.sub("^file:(//)?", "", uri), knob)


def local_file(uri: str, knob: str) -> Path:
    """The file on this machine that a knob names; InputError where there is none."""
    path = local_path(uri, knob)
    require(path.is_file(), knob, uri, "there is no such file")
    return path


def _local(uri: str, sha256: str | None) -> Path:
    path = local_path(uri)
    if not path.exists():
        raise InputError(f"{uri}: there is no file or folder {path.absolute()}")
    if sha256 and path.is_dir():
        raise InputError(f"{uri} is a folder and has no sha256: give sha256=null")
    if sha256:
        cache.verify(path, sha256, uri)
    return path


def named_content(uri: Any, knob: str) -> str | None:
    """Hex sha256 of the file or folder on this machine that a knob's value names; None where it names none."""
    if isinstance(uri, str) and uri and (path := local_path(uri, knob)).exists():
        return content(path)
    return None


def content(source: Path) -> str:
    """Hex sha256 of a file, or of a folder's names and contents."""
    if source.is_file():
        return cache.checksum(source)
    files = sorted(p for p in source.rglob("*") if p.is_file())
    return digest({p.relative_to(source).as_posix(): cache.checksum(p) for p in files})
