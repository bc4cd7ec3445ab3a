"""Lightning's Trainer and the loaders as a configuration asks for them."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pte.schema import InputError, Interactions, Split
from pte.train.loader import EvaluationLoader, TrainingLoader


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
    if len(split.valid.target) < trainer.world_size:
        raise InputError(
            f"trainer.devices={trainer.world_size}: {len(split.valid.target)} validation cases are fewer than"
            " processes: give fewer devices, or more data"
        )
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
