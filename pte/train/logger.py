"""Experiment tracking: a Lightning logger for Weights & Biases that works without key and network, and final figures.

Each stage's rows stand over the steps of that stage (`define_metric`), since GRPO and training count their own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from pte.schema import one_of

AXES = {"train": "training/step", "valid": "training/step", "training": "training/step", "selection": "selection/step"}


class WandbRun(WandbLogger):
    """Rows as they are: their axis is a column of theirs, where Lightning would add a second, common one."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.experiment.log(dict(metrics))


def wandb_logger(*, project: str, mode: str, save_dir: str, **identity: Any) -> WandbRun:
    """One W&B run per run folder; "auto" is online where WANDB_API_KEY is set, or what WANDB_MODE says, else offline.

    identity: name, tags, group and job_type. The command line and the code are not recorded, since both may hold
    secrets.
    """
    import wandb

    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    one_of("logger.wandb.mode", mode, ("online", "offline", "disabled"))  # WANDB_MODE's too
    known: Any = mode
    run = wandb.init(
        project=project, dir=save_dir, mode=known, resume="allow", **identity,
        id=uuid.uuid5(uuid.NAMESPACE_URL, str(Path(save_dir).resolve())).hex[:12],
        settings=wandb.Settings(x_disable_meta=True, save_code=False, console="off", silent=True),
    )  # fmt: skip
    for axis in dict.fromkeys(AXES.values()):
        run.define_metric(axis, hidden=True, summary="none")
    for part, axis in AXES.items():
        run.define_metric(f"{part}/*", step_metric=axis, summary="none")  # the summary is what `log_figures` says
    return WandbRun(experiment=run, log_model=False)


def log_table(loggers: Iterable[Any], key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table in the loggers that can show one (W&B)."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(key=key, columns=list(columns), data=[list(row) for row in rows])


def log_figures(loggers: Iterable[Any], figures: Mapping[str, float], monitor: str, step: int) -> None:
    """Final figures SPLIT/RANKING/GROUP/METRIC.

    W&B: a table of all; in the summary those of the monitored ranking over all cases, and the monitored one of every
    group. Elsewhere: one row of all, at the last `step` of training.
    """
    ranking, _, metric = monitor.split("/")
    headline = {
        name: value for name, value in figures.items()
        if (parts := name.split("/"))[1:3] == [ranking, "all"] or parts[-1] == metric
    }  # fmt: skip
    rows = [[*name.split("/"), value] for name, value in figures.items() if name.count("/") == 3]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            log_table([logger], "figures", ("split", "ranking", "group", "metric", "value"), rows)
            logger.experiment.summary.update(headline)
        else:
            logger.log_metrics(dict(figures), step=step)
            logger.save()


def finish(loggers: Iterable[Any], succeeded: bool) -> None:
    """Close every logger; the next run of the same process starts afresh."""
    for logger in loggers:
        logger.finalize("success" if succeeded else "failed")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if succeeded else 1)
