"""Watches one validation figure: logs it, keeps the best weights, stops when nothing improves any more.

It touches no files: the best weights go to a function of the caller's. Its own state is part of Lightning's checkpoint.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from pte.schema.progress import EXTRA, Progress, clock

logger = logging.getLogger(__name__)


class EarlyStopping(Checkpoint):  # Lightning calls checkpoint callbacks after the module has logged its epoch
    """`patience`: validations without a better figure before the end. `rows`: a dict an epoch, handed to `log_row`."""

    def __init__(
        self,
        *,
        monitor: str,
        patience: int,
        save_best: Callable[[dict[str, Tensor]], None],
        log_row: Callable[[dict[str, float]], None] = lambda row: None,
    ) -> None:
        self.monitor, self.patience = monitor, patience
        self.save_best, self.log_row = save_best, log_row
        self.rows: list[dict[str, float]] = []
        self.best, self.best_epoch, self.stale = -1.0, -1, 0
        self.validated, self.began, self.before = False, 0.0, 0.0

    @property
    def done(self) -> bool:
        return self.stale >= self.patience

    @property
    def seconds(self) -> float:
        """Spent in this epoch, in this process and in the one it continues."""
        return self.before + time.perf_counter() - self.began

    def state_dict(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in ("rows", "best", "best_epoch", "stale")}
        return state | {"before": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self.done
        for row in self.rows:  # of the epochs before this fit was stopped: the curve begins at its beginning
            self.log_row(row)
        self.began = time.perf_counter()
        self._count_steps(trainer)  # a fit that goes on within an epoch does not start it

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began, self.before, self.validated = time.perf_counter(), 0.0, False
        self._count_steps(trainer)

    def _count_steps(self, trainer: Trainer) -> None:
        noun = f"  epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}"
        loader: Any = trainer.train_dataloader  # a Place: a fit may go on within an epoch
        self.progress = Progress(logger, noun, "steps", int(trainer.num_training_batches), loader.done)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.progress.advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        prefixes = ("train/", "valid/") if self.validated else ("train/",)
        logged = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(prefixes)}
        seconds = round(self.seconds, 3)
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "seconds": seconds, **logged}
        self.rows.append(row)
        self.log_row(row)
        if self.validated:
            self._judge(trainer, row)

    def _judge(self, trainer: Trainer, row: dict[str, float]) -> None:
        value = row[f"valid/{self.monitor}"]
        self.stale = 0 if value > self.best else self.stale + 1
        if self.stale == 0:
            self.best, self.best_epoch = value, int(row["epoch"])
            self.save_best(trainer.strategy.lightning_module_state_dict())
        trainer.should_stop = self.done
        logger.info(self._line(row, value, trainer.max_epochs or 0), extra=EXTRA)

    def _line(self, row: dict[str, float], value: float, epochs: int) -> str:
        number = int(row["epoch"]) + 1
        mean = sum(r["seconds"] for r in self.rows) / len(self.rows)
        left = 0 if self.done else mean * (epochs - number)
        mark = "best so far" if self.stale == 0 else f"best {self.best:.4f} at {self.best_epoch + 1}"
        return (
            f"  epoch {number:>3}/{epochs}  loss {row['train/loss']:.4f}  {self.monitor} {value:.4f} ({mark})  "
            f"{row['seconds']:.1f} s  at most {clock(left)} left"
        )
