"""A stage's learning curve in its run's loggers: one row an epoch, each stage on a step axis of its own.

The rows are those of curve.csv, whether the stage trains in this process, in a group of processes, or was found; so a
curve looks the same in all three.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = "curve.csv"


def log_row(loggers: Iterable[Any], stage: str, row: Mapping[str, float]) -> None:
    """One epoch of a stage, at the number of steps taken so far: NAME, or STAGE/NAME where it names no part itself."""
    values = {name if "/" in name else f"{stage}/{name}": float(value) for name, value in row.items()}
    for logger in loggers:
        logger.log_metrics(values, step=int(row["step"]))


def write(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """curve.csv: the rows, and a column for every name that one of them has."""
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


def rows_of(path: Path) -> list[dict[str, float]]:
    """The curve in a folder; none where there is no such file."""
    if not (path / FILE).is_file():
        return []
    with (path / FILE).open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def log_curve(loggers: Iterable[Any], stage: str, path: Path) -> None:
    """The curve of a stage that was found rather than made."""
    for row in rows_of(path) if loggers else []:
        log_row(loggers, stage, row)
