"""Training of a backbone that has a loss: the best epoch's weights, the curve, and where to go on after a stop."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pte.nn.kernel.allocation import keep_freed_memory
from pte.schema import Interactions, Split
from pte.schema.context import Context
from pte.train import check
from pte.train.curve import log_row
from pte.train.early_stopping import EarlyStopping
from pte.train.recommender import Recommender
from pte.train.state.checkpoint import ResumeCheckpoint
from pte.train.state.restore import BestWeights
from pte.train.trainer import make_loaders, make_trainer, quiet

logger = logging.getLogger(__name__)

STAGE = "training"  # under which a curve stands in loggers


def fit(context: Context, backbone: Any, interactions: Interactions, split: Split) -> None:
    """Train until validation no longer improves; leaves weights.safetensors, curve.csv and facts.json."""
    keep_freed_memory()
    knobs, seed = context.config["trainer"], int(context.config["seed"])
    if backbone.representation.sparse:
        check.sparse(knobs, context.config["optimizer"]["_target_"])
    best = BestWeights(context.work)
    stopping = EarlyStopping(
        monitor=knobs["monitor"], patience=knobs["patience"], save_best=best.save,
        log_row=partial(log_row, context.loggers, STAGE),
    )  # fmt: skip
    checkpoint = ResumeCheckpoint(context.work / "last.ckpt")
    with quiet(), checkpoint.interruptible():
        trainer = make_trainer(knobs, [stopping, checkpoint], context.work)
        loaders = make_loaders(interactions, split, backbone, knobs, seed, trainer)
        recommender = Recommender(
            backbone=backbone, optimizer=context.build("optimizer"), seed=seed, products=knobs["products"],
            warmup=knobs["warmup"], decay=knobs["decay"], steps_per_epoch=len(loaders[0]),
        )  # fmt: skip
        rows = loaders[0]
        backbone.representation.observe(rows.item, rows.history_begin, rows.history_length, rows.history)
        if knobs["compile"]:
            backbone.encoder.compile(dynamic=True)
        latest = _resumable(checkpoint, best, knobs["check_val_every_n_epoch"])
        began, precision = time.perf_counter(), torch.get_float32_matmul_precision()
        try:
            trainer.fit(recommender, *loaders, ckpt_path=latest and latest[0])
        finally:  # also where it fails: the next job of a sweep has the precision it would have had
            torch.set_float32_matmul_precision(precision)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        facts = {
            "parameters": sum(p.numel() for p in backbone.parameters() if p.requires_grad),
            "free_per_item": backbone.representation.free_per_item,
            "steps_per_epoch": len(loaders[0]),
            "processes": trainer.world_size,
            "device": str(trainer.strategy.root_device),
            "fit_seconds": round(time.perf_counter() - began, 2),
            "resumed": latest is not None,
        }
        best.publish(context.out, stopping, facts)


def _resumable(checkpoint: Any, best: BestWeights, every: int) -> tuple[Path, int, int] | None:
    """What to go on from, None: the start. every: epochs between validations."""
    latest: tuple[Path, int, int] | None = checkpoint.latest()
    if latest and latest[1] >= every and not best.file.is_file():  # it has been validated, so its best weights are lost
        checkpoint.forget()
        return None
    if latest:
        logger.info(f"  continuing after epoch {latest[1]}" + (f", step {latest[2]}" if latest[2] else ""))
    return latest
