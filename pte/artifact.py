"""Write-once artefacts: nothing is half-written, nothing corrupt is trusted.

An artefact is a folder store/<kind>/<key>/. Work goes to a scratch folder beside it, the manifest (with the sha256 of
every file) is written last, and one rename publishes the whole: a manifest that verifies means complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pte.paths import RUN_KEYS
from pte.schema.error import InputError

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
RUNS = "runs.txt"  # in a store: the run folders that were given its keys, a line each


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-able value; equal values give equal digests whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A free path beside `path` to write to; on leaving it is pushed to the disk and takes the place of `path`, on an
    exception it vanishes.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield scratch
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


class Store:
    """Artefacts by kind and key under one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:16]

    def find(self, kind: str, key: str) -> Path | None:
        """The artefact's folder if it is complete and every file matches its recorded sha256, else None."""
        path = self.path(kind, key)
        manifest = read_manifest(path)
        if manifest is None or manifest.get("key") != key:
            return None
        for name, sha256 in manifest["files"].items():
            file = path / name
            if not file.is_file() or file_sha256(file) != sha256:
                return None
        return path

    def exists(self, kind: str, key: str) -> bool:
        """Whether something (complete or not) lies in the artefact's place."""
        return self.path(kind, key).exists()

    def scratch(self, kind: str, key: str) -> Path:
        """A new name beside the artefact's place, which says whose it is and which process fills it."""
        final = self.path(kind, key)
        return final.parent / f".{final.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"

    @contextmanager
    def planning(self, *, exclusive: bool = False) -> Iterator[None]:
        """While keys are looked up and named by a run; `exclusive` while artefacts that no run names are deleted.

        Where there is no store yet, nothing can be deleted, and none is made.
        """
        if not self.root.is_dir():
            yield
            return
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def register(self, run: Path) -> None:
        """Note that a run folder names artefacts of this store, once there is one."""
        if self.root.is_dir() and run.resolve() not in self.runs():
            with (self.root / RUNS).open("a", encoding="utf-8") as file:
                file.write(f"\n{run.resolve()}\n")  # a line of its own, also behind one that a full disk cut

    def remove_empty(self, *folders: Path) -> None:
        """Remove folders of this store that hold nothing, with those above them and the store itself."""
        for folder in folders:
            for each in (folder, *folder.parents):
                try:
                    each.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:  # it holds something
                    break
                if each == self.root:
                    break

    def runs(self) -> list[Path]:
        """The run folders that were registered, whether they are still there or not."""
        file = self.root / RUNS
        if not file.is_file():
            return []
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")  # damaged lines name no folder
        return [Path(line) for line in lines if line.strip()]

    @contextmanager
    def publish(self, kind: str, key: str, facts: Mapping[str, Any]) -> Iterator[Path]:
        """A scratch folder to fill; on leaving it becomes the artefact, on an exception it vanishes.

        `facts` are recorded in the manifest (versions, wall time ...) and may be filled while the folder is open.
        """
        final = self.path(kind, key)
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.scratch(kind, key)
        scratch.mkdir(parents=True)
        try:
            yield scratch
            files = {
                p.relative_to(scratch).as_posix(): file_sha256(p) for p in sorted(scratch.rglob("*")) if p.is_file()
            }
            manifest = json.loads(json.dumps({"kind": kind, "key": key, **facts, "files": files}, default=str))
            manifest["sha256"] = digest(manifest)
            write_atomic(scratch / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
            if self.find(kind, key) is None:  # else another process was first, with the same content
                if final.exists():
                    final.rename(stale := final.parent / f".{final.name}.stale.{uuid.uuid4().hex[:8]}")
                    shutil.rmtree(stale)
                scratch.rename(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def acquire(descriptor: int, waiting: str | None = None) -> bool:
    """Take the lock of an open file or folder, which ends with its process. Where another process holds it: wait, with
    the line `waiting` in the log, or give False where there is none.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting is None:
            return False
        logger.info(waiting)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return True


def is_locked(work: Path) -> bool:
    """Whether a process holds the lock of a work folder."""
    try:
        descriptor = os.open(work, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not acquire(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of an artefact folder, or None where there is none or it is damaged."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        return None
    sha256 = manifest.pop("sha256", None)  # none in manifests of versions before
    return manifest if sha256 in (None, digest(manifest)) else None


class Stored:
    """The artefacts a run was made of, found by the keys in its folder."""

    def __init__(self, run: Path) -> None:
        file = run / RUN_KEYS
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            self.run, self.store, self.keys = run, Store(Path(record["store"])), dict(record["keys"])
            if not all(isinstance(key, str) for key in self.keys.values()):
                raise TypeError(RUN_KEYS)
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{run}: no {RUN_KEYS} in it, so it is no run folder: give the one that a run names in its"
                " first line (run folder ...)"
            ) from None

    def path(self, stage: str) -> Path:
        """The folder of a stage's artefact; InputError where the run never made it, or it is gone or damaged."""
        if stage not in self.keys:
            raise InputError(f"{self.run}: this run has no {stage}: its models read no text, or it stopped before")
        folder = self.store.find(stage, self.keys[stage])
        if folder is None:
            place = self.store.path(stage, self.keys[stage])
            raise InputError(
                f"{self.run}: its {stage} are not in the store ({place}), or damaged: run its command again"
            )
        return folder

    def paths(self, *stages: str) -> dict[str, Path]:
        """The folders of those of `stages` that the run has; InputError as `path` raises it."""
        return {stage: self.path(stage) for stage in stages if stage in self.keys}

    def has(self, stage: str) -> bool:
        """Whether the run came to this stage; InputError as `path` raises it where what it made is damaged or gone."""
        if stage not in self.keys:
            return False
        if self.store.exists(stage, self.keys[stage]) or (self.run / "report.json").is_file():
            self.path(stage)
            return True
        return False
