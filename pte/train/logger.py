"""Experiment tracking: a Lightning logger for Weights & Biases that works without key and network, and tables in it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from pte.schema import InputError


def wandb_logger(*, project: str, mode: str, name: str | None, save_dir: str, group: str | None) -> WandbLogger:
    """One W&B run per run folder; "auto" is online where WANDB_API_KEY is set, or what WANDB_MODE says, else offline.

    The command line and the code are not recorded, since both may hold secrets.
    """
    import wandb

    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    if mode not in ("online", "offline", "disabled"):
        raise InputError(f"logger.wandb.mode={mode}: choose auto, online, offline or disabled")
    run = wandb.init(
        project=project, name=name, group=group, dir=save_dir, mode=mode, resume="allow",
        id=uuid.uuid5(uuid.NAMESPACE_URL, str(Path(save_dir).resolve())).hex[:12],
        settings=wandb.Settings(x_disable_meta=True, save_code=False, console="off", silent=True),
    )  # fmt: skip
    return WandbLogger(experiment=run, log_model=False)


def log_table(loggers: Iterable[Any], key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table in the loggers that can show one (W&B)."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(key=key, columns=list(columns), data=[list(row) for row in rows])


def log_summary(loggers: Iterable[Any], values: dict[str, Any]) -> None:
    """Final values of a run: the summary in W&B, one row elsewhere."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(values)
        else:
            logger.log_metrics({k: v for k, v in values.items() if isinstance(v, int | float)}, step=0)
            logger.save()


def finish(loggers: Iterable[Any]) -> None:
    """Close every logger; the next run of the same process starts afresh."""
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
