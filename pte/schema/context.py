"""What a stage is given, and nothing else: plain values, its parents' folders, and a folder to fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Context:
    """Handed to every stage's `run(context)`.

    config: the groups and top-level values the stage declared it READS, as plain dicts and numbers.
    parents: finished artefact folders by stage name; only those the stage declared.
    out: an empty scratch folder; what lies in it when `run` returns becomes the artefact.
    work: a folder that outlives an interrupted run of this very key (logs to resume from, checkpoints).
    build: `build("encoder", **facts)` makes the object a config group describes; facts learnt at run time are keywords.
    loggers: Lightning loggers, possibly none; `logger.log_metrics(metrics, step)`.
    """

    config: Mapping[str, Any]
    parents: Mapping[str, Path]
    out: Path
    work: Path
    build: Callable[..., Any]
    loggers: Sequence[Any]
