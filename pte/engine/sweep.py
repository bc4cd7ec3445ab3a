"""The jobs of a sweep: why each failed one did, in its own folder, for any launcher's parent to list.

Under joblib and submitit a job runs in another process or on another machine, of which the parent sees the
folder alone.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, ClassVar

from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pte.artifact import write_atomic

ERROR = "error.txt"  # in the folder of a job that failed
SQLITE = "sqlite:///"


class JobError(CompactHydraException):
    """A job of a sweep failed, with its reason. Hydra prints it without a traceback; sweepers see an exception."""


class Sweep(Callback):  # conf/config.yaml, hydra.callbacks
    """Knows where the sweep that this process started keeps its jobs' folders."""

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        Sweep.folder = Path(config.hydra.sweep.dir).absolute()
        storage = str(config.hydra.sweeper.get("storage") or "")
        if storage.startswith(SQLITE):  # which makes the file, and no folder for it
            Path(storage.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)


def keep_reason(run_dir: Path, reason: str) -> None:
    write_atomic(run_dir / ERROR, reason)


def forget_reason(run_dir: Path) -> None:
    (run_dir / ERROR).unlink(missing_ok=True)


def failures() -> list[str]:
    """A line for each failed job of the sweep, if there was one."""
    if Sweep.folder is None:
        return []
    files = sorted(Sweep.folder.rglob(ERROR), key=lambda file: file.parent.name.zfill(9))
    return [f"{file.parent}: {file.read_text(encoding='utf-8')}" for file in files]


def standing(folder: Path, run_dir: Path, monitor: str) -> str:
    """One line when a job of the sweep in `folder` has ended: its validation figure, and the best there is so far."""
    value: dict[Path, float] = {}
    for file in folder.rglob("metrics.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # another job may be writing it
            value[file.parent.resolve()] = float(json.loads(file.read_text(encoding="utf-8"))[f"valid/{monitor}"])
    own, name = value[run_dir.resolve()], run_dir.resolve().relative_to(folder.resolve())
    best = max(value, key=lambda place: value[place])
    where = "this one" if best == run_dir.resolve() else f"job {best.relative_to(folder.resolve())}"
    metric = monitor.rpartition("/")[2]
    return f"job {name}: validation {metric} {own:.4f}; best of {len(value)} so far {value[best]:.4f}, {where}"
