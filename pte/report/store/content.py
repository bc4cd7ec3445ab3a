"""A store as it lies on disk: artefacts with the runs that use them, and what stopped processes left.

A run uses the artefacts that its keys.json names. Run folders are found below the folder of outputs and in the store's
own register of runs, so that a run with a folder of its own elsewhere counts too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pte.artifact import Store, is_locked, read_manifest
from pte.paths import RUN_KEYS
from pte.schema import InputError

KEY = re.compile(r"[0-9a-f]{16}")
SCRATCH = re.compile(r"\.([0-9a-f]{16})\.(\d+|stale)\.[0-9a-f]+")
MIB = 2**20


@dataclass(frozen=True)
class Artefact:
    """A folder of the store. users: the run folders that name it."""

    stage: str
    key: str
    path: Path
    users: tuple[Path, ...] = ()

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return size_of(self.path)

    @property
    def place(self) -> str:
        return f"{self.stage}/{self.key}"


@dataclass(frozen=True)
class RunFolder:
    """A folder that a run was started in."""

    path: Path
    keys: dict[str, str]  # full keys by stage

    @cached_property
    def report(self) -> dict[str, Any] | None:
        """report.json, None where the run has not ended (or was a plan)."""
        try:
            report = json.loads((self.path / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return report if isinstance(report, dict) else None

    @property
    def error(self) -> str | None:
        """The last error in its log."""
        try:
            lines = (self.path / "run.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        return next((line.partition("ERROR: ")[2] for line in reversed(lines) if "ERROR: " in line), None)


class Content:
    """Everything in a store; outputs: the folder below which runs lie."""

    def __init__(self, store: Path, outputs: Path) -> None:
        self.store = Store(store.resolve())
        self.runs = sorted(_runs(self.store, outputs.resolve()), key=lambda run: age_of(run.path), reverse=True)
        self._users: dict[tuple[str, str], list[Path]] = {}
        for run in self.runs:
            for stage, key in run.keys.items():
                self._users.setdefault((stage, key[:16]), []).append(run.path)

    def artefacts(self) -> list[Artefact]:
        """Complete ones, by stage and age."""
        return [one for one in self._folders() if read_manifest(one.path) is not None]

    def incomplete(self) -> list[Artefact]:
        """Scratch folders of processes that are gone, and folders in an artefact's place without a manifest."""
        broken = [one for one in self._folders() if read_manifest(one.path) is None]
        for stage in self._stages(self.store.root):
            for path in sorted(stage.iterdir()):
                if (match := SCRATCH.fullmatch(path.name)) and path.is_dir():
                    broken.append(Artefact(stage.name, match[1], path))
        return broken

    def left_over(self) -> list[Artefact]:
        """Work folders of artefacts that are complete, or that no run waits for any more."""
        return [one for one in self._work() if not self.waits(one)]

    def interrupted(self) -> list[Artefact]:
        """Work folders from which a stopped run would go on."""
        return [one for one in self._work() if self.waits(one)]

    def unused(self) -> list[Artefact]:
        return [one for one in self.artefacts() if not one.users]

    def in_progress(self, one: Artefact) -> bool:
        """Whether a living process makes this artefact."""
        writers = [SCRATCH.fullmatch(path.name) for path in self.store.path(one.stage, one.key).parent.glob(".*")]
        alive = [match for match in writers if match and match[1] == one.key and _lives(match[2])]
        return bool(alive) or is_locked(self.store.root / "work" / one.stage / one.key)

    def waits(self, one: Artefact) -> bool:
        """Whether a run names the artefact and it is not there."""
        return bool(one.users) and read_manifest(self.store.path(one.stage, one.key)) is None

    def _folders(self) -> Iterator[Artefact]:
        for stage in self._stages(self.store.root):
            yield from self._keyed(stage)

    def _work(self) -> Iterator[Artefact]:
        for stage in self._stages(self.store.root / "work"):
            yield from self._keyed(stage)

    def _keyed(self, stage: Path) -> Iterator[Artefact]:
        for path in sorted(stage.iterdir(), key=age_of, reverse=True):
            if KEY.fullmatch(path.name) and path.is_dir():
                yield Artefact(stage.name, path.name, path, tuple(self._users.get((stage.name, path.name), ())))

    @staticmethod
    def _stages(root: Path) -> list[Path]:
        """The folders that are named like a stage; others (answers of models, vectors) serve every run."""
        folders = sorted(root.iterdir()) if root.is_dir() else []
        named = [folder for folder in folders if folder.is_dir() and folder.name.isidentifier()]
        return [folder for folder in named if importlib.util.find_spec(f"pte.stage.{folder.name}")]


def _runs(store: Store, outputs: Path) -> Iterator[RunFolder]:
    """Run folders whose keys.json names this store."""
    for folder in dict.fromkeys([*store.runs(), *_below(outputs, store.root)]):
        try:
            record = json.loads((folder / RUN_KEYS).read_text(encoding="utf-8"))
            keys = {str(stage): str(key) for stage, key in record["keys"].items()}
            if Path(record["store"]).resolve() == store.root:
                yield RunFolder(folder, keys)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def _below(folder: Path, without: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(here, name) != without)
        if RUN_KEYS in files:
            yield Path(here)


def _lives(process: str) -> bool:
    """Whether a process of that number is there, on this machine."""
    if not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def size_of(path: Path) -> int:
    """Bytes of a folder's files."""
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def age_of(path: Path) -> float:
    """Seconds since a folder was last written."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def format_size(size: int) -> str:
    return f"{size / MIB:,.1f} MiB" if size >= MIB else f"{size / 1024:.0f} KiB"


def format_age(seconds: float) -> str:
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} s"


def outputs_folder(word: str) -> Path:
    """The folder of outputs as typed, or as the override of a run that writes there."""
    return Path(word.removeprefix("paths.outputs="))


def store_of(outputs: Path, store: Path | None) -> Path:
    """The store of the folders that a person named."""
    where = store or outputs / "store"
    if not where.is_dir():
        raise InputError(
            f"{where}: there is no store. Name the folder of outputs that runs were given (paths.outputs, outputs by"
            " default), or the store itself: --store FOLDER"
        )
    return where


def total(artefacts: Sequence[Artefact]) -> str:
    return format_size(sum(one.size for one in artefacts))
