"""The jobs of a sweep: why each failed one did, in its own folder, for any launcher's parent to list.

Under joblib and submitit a job runs in another process or on another machine, of which the parent sees the
folder alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ERROR = "error.txt"  # in the folder of a job that failed
MISTAKE = "ERROR: "  # begins what stands there where a user's mistake was the reason
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

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if Sweep.folder is not None and len(rows := figures(Sweep.folder, monitor := str(config.trainer.monitor))) > 1:
            Console().print(table(rows, monitor))


def failures() -> list[str]:
    """A line for each failed job of the sweep, if there was one."""
    if Sweep.folder is None:
        return []
    files = sorted(Sweep.folder.rglob(ERROR), key=lambda file: file.parent.name.zfill(9))
    return [f"{file.parent}: {file.read_text(encoding='utf-8')}" for file in files]


def status(failed: Sequence[str]) -> int:
    """Exit status of a sweep with these `failures`: 2 where these are all jobs, and users' mistakes, else 1."""
    jobs = () if Sweep.folder is None else Sweep.folder.rglob(".hydra")
    ended = any(not (job.parent / ERROR).is_file() for job in jobs)
    return 1 if ended or not all(f": {MISTAKE}" in line for line in failed) else 2


def figures(folder: Path, monitor: str) -> dict[Path, tuple[float, float]]:
    """Validation and test figure of every finished job of the sweep in `folder`, by its place there."""
    values: dict[Path, tuple[float, float]] = {}
    for file in folder.rglob("metrics.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # another job may be writing it
            metrics = json.loads(file.read_text(encoding="utf-8"))
            place = file.parent.resolve().relative_to(folder.resolve())
            values[place] = float(metrics[f"valid/{monitor}"]), float(metrics[f"test/{monitor}"])
    return values


def standing(folder: Path, run_dir: Path, monitor: str) -> str:
    """One line when a job of the sweep in `folder` has ended: its validation figure, and the best there is so far."""
    values, own = figures(folder, monitor), run_dir.resolve().relative_to(folder.resolve())
    best = max(values, key=lambda place: values[place][0])
    where = "this one" if best == own else f"job {best}"
    metric = monitor.rpartition("/")[2]
    return (
        f"job {own}: validation {metric} {values[own][0]:.4f};"
        f" best of {len(values)} so far {values[best][0]:.4f}, {where}"
    )


def table(values: Mapping[Path, tuple[float, float]], monitor: str) -> Table:
    """All finished jobs of a sweep, best validation figure first and bold."""
    metric = monitor.rpartition("/")[2]
    rows = Table(title="validation chooses; test is reported", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("job", f"validation {metric}", f"test {metric}"):
        rows.add_column(heading, justify="left" if heading == "job" else "right")
    order = sorted(values, key=lambda place: -values[place][0])
    for place in order:
        style = "bold" if place == order[0] else None
        rows.add_row(str(place), *(f"{value:.4f}" for value in values[place]), style=style)
    return rows
