"""Keeps the whole state of a fit while it runs, so that a stopped fit goes on at the step where it was.

All that a step draws is a function of (seed, epoch, step), so the state is Lightning's checkpoint and a place in the
loader, and a resumed fit ends bit for bit like an unbroken one. The state is kept in a file after every epoch and when
Ctrl-C asks the fit to leave, and as a snapshot in between: after every single step where that takes at most `SHARE` of
the time, so that a kill loses the step in flight, and as often as `SHARE` allows where a model is too large for that. A
group of processes keeps files in place of snapshots.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import DeepSpeedStrategy

from pte.train.loader import Place
from pte.train.state.snapshot import SUFFIX, SnapshotIO, forget

logger = logging.getLogger(__name__)

SHARE = 0.1  # of the fit's time, at most, to be spent on keeping its state between epochs


class ResumeCheckpoint(Checkpoint):  # Lightning calls checkpoint callbacks after the module has logged its epoch
    """It must come after the callbacks whose state it saves. The trainer's loader is a `Place`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.inside = False  # between the first and the last step of an epoch
        self.leaving = False  # to leave after the step in flight
        self.every, self.last, self.save_time = 1, 0, 0.0
        self.saving, self.training = np.zeros(2), np.zeros(2)  # seconds, and times or steps, so far
        self.snapshot = file.with_suffix(SUFFIX)
        self.plugins = [] if _world() > 1 else [SnapshotIO()]  # for the Trainer

    def latest(self) -> tuple[Path, int, int] | None:
        """What to resume from, with the epochs and the further steps that are done. A damaged file is none, and so is
        a snapshot that is older than the file or has none before it but in the first epoch.
        """
        saved, snapshot = _done(self.file), _done(self.snapshot) if self.plugins else None
        if snapshot and snapshot > (saved or (0, 0)) and snapshot[0] == (saved or (0, 0))[0]:
            return self.snapshot, *snapshot
        return (self.file, *saved) if saved else None

    def forget(self) -> None:
        """Remove the saved state."""
        self.file.unlink(missing_ok=True)
        forget(self.snapshot)

    def keep(self, trainer: Trainer) -> None:
        """Save to the file. Collective: every process calls it, the first one writes. Nothing of DeepSpeed,
        whose state would be a folder.
        """
        if isinstance(trainer.strategy, DeepSpeedStrategy):
            return
        scratch = self.file.with_suffix(".tmp")
        trainer.save_checkpoint(scratch)
        if trainer.is_global_zero:
            scratch.replace(self.file)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["pte"] = {"step": _loader(trainer).done}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.every, self.last, self.save_time = 1, trainer.fit_loop.epoch_loop.total_batch_idx, time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.inside = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loader, step = _loader(trainer), trainer.fit_loop.epoch_loop.total_batch_idx
        loader.done = batch_idx + 1
        if loader.done == trainer.num_training_batches:  # the state is kept when the epoch has ended
            self.inside = False
        elif self.leaving:
            self.keep(trainer)
            raise KeyboardInterrupt
        elif step - self.last >= self.every:
            began = time.perf_counter()
            if self.plugins:
                trainer.save_checkpoint(self.snapshot)
            else:
                self.keep(trainer)
            now = time.perf_counter()
            self.saving += np.array([now - began, 1])
            self.training += np.array([began - self.save_time, step - self.last])
            (cost, times), (duration, steps) = self.saving, self.training
            # The first process's clock speaks for all: they must keep together.
            self.every = trainer.strategy.broadcast(max(1, math.ceil(cost / times / SHARE / (duration / steps))))
            self.last, self.save_time = step, now

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.inside = False
        _loader(trainer).done = 0
        self.keep(trainer)
        if self.leaving:
            raise KeyboardInterrupt

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C ends the fit after the step in flight, with its state kept; pressed again, or outside the steps of an
        epoch, at once. It comes out as KeyboardInterrupt: Lightning would ignore further ones and leave by SystemExit.
        Processes of a group leave at once, since they cannot agree on a step.
        """
        before = signal.getsignal(signal.SIGINT)
        handles = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()

        def leave(signum: int, frame: Any) -> None:
            if not self.inside or self.leaving or _world() > 1:
                raise KeyboardInterrupt
            self.leaving = True
            logger.info("  leaving after this step")

        if handles:
            signal.signal(signal.SIGINT, leave)
        try:
            yield
        except SystemExit as exit_:
            raise KeyboardInterrupt from exit_
        finally:
            if threading.current_thread() is threading.main_thread() and before is not None:
                signal.signal(signal.SIGINT, before)


def _loader(trainer: Trainer) -> Place:
    loader = trainer.train_dataloader
    assert isinstance(loader, Place)
    return loader


def _done(file: Path) -> tuple[int, int] | None:
    """Epochs and further steps that are done in a saved state."""
    try:
        if file.suffix == SUFFIX:
            state = SnapshotIO().load_checkpoint(file)
        else:
            state = torch.load(file, weights_only=True, map_location="cpu")
        return state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"], state["pte"]["step"]
    except Exception:  # a damaged file can raise whatever its bytes spell
        return None


def _world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
