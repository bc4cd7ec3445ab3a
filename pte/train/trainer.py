"""Training of a backbone that has a loss: Lightning's Trainer and the loaders as a configuration requests them, the
best epoch's weights, and where to go on after a stop.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pte.nn.kernel.allocation import keep_freed_memory
from pte.schema import InputError, Interactions, Split
from pte.schema.context import Context
from pte.train import check
from pte.train.curve import log_row
from pte.train.early_stopping import EarlyStopping
from pte.train.loader import EvaluationLoader, TrainingLoader
from pte.train.recommender import Recommender
from pte.train.state.checkpoint import ResumeCheckpoint
from pte.train.state.restore import BestWeights

logger = logging.getLogger(__name__)

STAGE = "training"  # under which a curve stands in loggers


def make_trainer(knobs: Mapping[str, Any], callbacks: Sequence[Any], work: Path) -> Trainer:
    """Lightning's Trainer, which writes and logs nothing by itself."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // local
    if knobs["devices"] not in (1, "auto") and "WORLD_SIZE" not in os.environ:
        raise InputError(f"trainer.devices={knobs['devices']} needs a process group: start it under torchrun")
    # Under SLURM with several tasks Lightning would take this process for one of a group, which it is not.
    alone = [] if "WORLD_SIZE" in os.environ else [LightningEnvironment()]
    try:
        return Trainer(
            accelerator=knobs["accelerator"],
            devices=local if "WORLD_SIZE" in os.environ else 1,
            num_nodes=nodes,
            strategy=knobs["strategy"],
            precision=knobs["precision"],
            max_epochs=knobs["max_epochs"],
            check_val_every_n_epoch=knobs["check_val_every_n_epoch"],
            gradient_clip_val=knobs["gradient_clip"],
            callbacks=list(callbacks),
            plugins=[*alone, *(plugin for callback in callbacks for plugin in getattr(callback, "plugins", []))],
            logger=False,
            default_root_dir=work,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (ValueError, MisconfigurationException) as error:  # a knob that Lightning refuses
        raise InputError(f"trainer: {error}") from None


def make_loaders(
    interactions: Interactions, split: Split, backbone: Any, knobs: Mapping[str, Any], seed: int, trainer: Trainer
) -> tuple[TrainingLoader, EvaluationLoader]:
    """This process's share of the training steps and of the validation cases."""
    where: dict[str, Any] = {
        "row_length": backbone.length, "rank": trainer.global_rank, "world": trainer.world_size,
        "device": trainer.strategy.root_device,
    }  # fmt: skip
    steps = {name: knobs[name] for name in ("batch_size", "batch_targets", "epoch_steps")}
    training = TrainingLoader(interactions, split, seed=seed, **steps, **where)
    return training, EvaluationLoader(interactions, split.valid, scores_mib=knobs["scores_mib"], **where)


@contextmanager
def quiet() -> Iterator[None]:
    """No hints, tables or advertisements from Lightning while it runs."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


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
