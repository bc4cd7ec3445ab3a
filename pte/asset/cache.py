"""The cache of assets: a record beside every path, a lock around every change, one rename to publish.

A record holds size, time and sha256 of each file. A file whose size or time changed is read again in full before it is
trusted. Something that lies there without a record was put there by hand, and gets one.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pte.artifact import digest, file_sha256, write_atomic
from pte.paths import cache_dir
from pte.schema import InputError

LARGE = 1 << 26  # bytes; smaller files are hashed anew each time, in well under a second
SETTLED = 2.0  # seconds; a file changed more recently may change again without its time showing it


def root() -> Path:
    return cache_dir() / "asset"


def _record_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.record.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _files(target: Path) -> dict[str, Path]:
    """Files by their name under the target's folder."""
    paths = [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
    return {p.relative_to(target.parent).as_posix(): p for p in paths}


def _write_record(target: Path, sha256: str | None, place: Path) -> None:
    """Record what lies at `target`, beside `place`, where it will lie."""
    files = {}
    for name, path in _files(target).items():
        stat = path.stat()
        files[name.replace(target.name, place.name, 1)] = [stat.st_size, stat.st_mtime_ns, file_sha256(path)]
    write_atomic(_record_path(place), json.dumps({"sha256": sha256, "files": files}, indent=1))


def trusted(target: Path, sha256: str | None) -> bool:
    """Whether what lies there is whole, and what is requested. Something without a record was put there by hand."""
    if not target.exists():
        return False
    record = _read_json(_record_path(target))
    if not record.get("files"):
        if sha256 and not (target.is_file() and file_sha256(target) == sha256):
            return False
        _remember(target, sha256)
        return True
    if sha256 and record.get("sha256") != sha256:
        named = record["files"].get(target.name)
        if not (named and named[2] == sha256):
            return False
    whole = all(_intact(target.parent / name, *facts) for name, facts in record["files"].items())
    if whole and any((target.parent / name).stat().st_mtime_ns != facts[1] for name, facts in record["files"].items()):
        _remember(target, record.get("sha256"))  # touched or copied, yet the same: no need to read it again next time
    return whole


def _intact(path: Path, size: int, mtime_ns: int, sha256: str) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    return path.stat().st_mtime_ns == mtime_ns or file_sha256(path) == sha256


def _remember(target: Path, sha256: str | None) -> None:
    with suppress(OSError):  # a cache one may only read is as good, only slower to verify
        _write_record(target, sha256, target)


def verify(path: Path, sha256: str | None, noun: str) -> None:
    if sha256 and (actual := checksum(path)) != sha256:
        raise InputError(f"{noun} has sha256 {actual} where {sha256} is expected: damaged, or another version")


@contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """One process at a time; a killed process lets go."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(f".{target.name}.lock").open("w")
    except OSError as error:
        raise InputError(f"cannot write to the cache ({error}): set PTE_CACHE to a folder you may write to") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch_path(target: Path) -> Iterator[Path]:
    """A free path beside the target; what is left there afterwards vanishes."""
    path = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield path
    finally:
        _remove(path)


def publish(scratch: Path, target: Path, sha256: str | None) -> None:
    """The record first: a target without one would pass for placed by hand."""
    if target.exists():
        target.rename(stale := target.with_name(f".{target.name}.stale.{uuid.uuid4().hex[:8]}"))
        _remove(stale)
    _write_record(scratch, sha256, target)
    scratch.rename(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def checksum(path: Path) -> str:
    """sha256 of a file; of a large one remembered for as long as its size and times stay the same."""
    stat = path.stat()
    if stat.st_size < LARGE:
        return file_sha256(path)
    now = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    note = root() / "sha256" / f"{digest(str(path.resolve()))[:32]}.json"
    record = _read_json(note)
    if record.get("stat") == now:
        return str(record["sha256"])
    sha256 = file_sha256(path)
    if time.time() - stat.st_mtime > SETTLED:
        write_atomic(note, json.dumps({"stat": now, "sha256": sha256}))
    return sha256
