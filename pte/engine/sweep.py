"""The jobs of a sweep: why each failed one did, in its own folder, for any launcher's parent to list.

Under joblib and submitit a job runs in another process or on another machine, of which the parent sees the
folder alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pte.artifact import write_atomic

ERROR = "error.txt"  # in the folder of a job that failed


class JobError(CompactHydraException):
    """A job of a sweep failed, with its reason. Hydra prints it without a traceback; sweepers see an exception."""


class Sweep(Callback):  # conf/config.yaml, hydra.callbacks
    """Knows where the sweep that this process started keeps its jobs' folders."""

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        Sweep.folder = Path(config.hydra.sweep.dir).absolute()


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
