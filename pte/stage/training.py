"""Interactions, split and (for text) selection -> a trained backbone: weights.safetensors, curve.csv, facts.json.

The weights are those of the epoch with the best validation figure. The whole state is kept in the work folder step
by step, so that a stopped run goes on where it was and ends with the same weights as an uninterrupted one. Started
in a torchrun process group it runs on all its processes, of which only the first writes. A backbone that is counted
(`trained` is false) leaves its training sequences instead of weights.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pte.artifact import write_atomic
from pte.backbone.fused import Fused
from pte.lit.data import EvaluationLoader, TrainingLoader
from pte.schema import InputError, Interactions, Selection, Split
from pte.stage import counting, fusion, sparse
from pte.stage import interactions as interactions_stage
from pte.stage import split as split_stage
from pte.stage.context import Context

if TYPE_CHECKING:  # Lightning takes seconds to import, and a counted backbone does without
    from lightning.pytorch import Trainer

    from pte.lit.watch import Watch

NAME = "training"
VERSION = 2  # 2: validated by the masked rule of metrics 2, DreamRec with the weights it has
READS = ("representation", "backbone", "optimizer", "trainer", "seed")
IDLE = (
    "trainer.accelerator", "trainer.devices", "trainer.strategy", "trainer.compile", "trainer.scores_mib",
)  # fmt: skip
PARENTS = ("interactions", "split", "selection")

WEIGHTS = "weights.safetensors"


def run(context: Context) -> None:
    """Fit, keep the best epoch's weights and the curve; or keep what to count."""
    interactions = interactions_stage.load(context.parents["interactions"])
    split = split_stage.load(context.parents["split"])
    torch.manual_seed(int(context.config["seed"]))
    backbone = assemble(context.build, interactions, chosen(context.parents.get("selection")))
    if isinstance(backbone, Fused):
        fusion.run(context, backbone, interactions, split, fit, device_of(context.config["trainer"]["accelerator"]))
    elif backbone.trained:
        fit(context, backbone, interactions, split)
    elif _first():
        facts = counting.keep(interactions, split, context.out)
        context.say(f"  nothing to train: counted from {facts['sequences']:,} training histories where it is used")


def fit(context: Context, backbone: Any, interactions: Interactions, split: Split) -> None:
    """Train until validation no longer improves."""
    from pte.lit.memory import keep_freed_memory
    from pte.lit.recommender import Recommender
    from pte.lit.resume import Resume
    from pte.lit.watch import Watch

    keep_freed_memory()
    knobs, seed = context.config["trainer"], int(context.config["seed"])
    if backbone.representation.sparse:
        sparse.check(knobs, context.config["optimizer"]["_target_"])
    files = Files(context.work)
    watch = Watch(monitor=knobs["monitor"], patience=knobs["patience"], say=context.say, keep_best=files.keep_best)
    resume = Resume(context.work / "last.ckpt", say=context.say)
    with quiet(), resume.interruptible():
        trainer = make_trainer(knobs, [watch, resume], context)
        loaders = make_loaders(interactions, split, backbone, knobs, seed, trainer)
        recommender = Recommender(
            backbone=backbone, optimizer=context.build("optimizer"), seed=seed, products=knobs["products"],
            warmup=knobs["warmup"], decay=knobs["decay"], steps_per_epoch=len(loaders[0]),
        )  # fmt: skip
        backbone.representation.observe(loaders[0].item, loaders[0].begin, loaders[0].length)
        if knobs["compile"]:
            backbone.encoder.compile(dynamic=True)
        found = resume.found()
        if found and found[1] >= knobs["check_val_every_n_epoch"] and not files.best.is_file():
            found = None  # it has been validated, so its best weights are lost
            resume.forget()
        if found:
            context.say(f"  continuing after epoch {found[1]}" + (f", step {found[2]}" if found[2] else ""))
        began, precision = time.perf_counter(), torch.get_float32_matmul_precision()
        try:
            trainer.fit(recommender, *loaders, ckpt_path=found and found[0])
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
            "resumed": found is not None,
        }
        files.deliver(context.out, watch, facts)


def chosen(path: Path | None) -> Selection | None:
    """The selection, where the plan has one."""
    if path is None:
        return None
    from pte.stage import selection  # with all its reward and policy rooms, which an ID run does without

    return selection.load(path)


def assemble(build: Callable[..., Any], interactions: Interactions, selection: Selection | None) -> nn.Module:
    """Representation and backbone as the config describes them, untrained."""
    vectors = None if selection is None else torch.from_numpy(selection.item)
    representation = build("representation", num_items=interactions.num_items, vectors=vectors)
    backbone = build("backbone", representation=representation, num_items=interactions.num_items)
    if isinstance(backbone, Fused):
        backbone.attach(vectors)
    return backbone


def restore(
    build: Callable[..., Any], path: Path, interactions: Interactions, selection: Selection | None, accelerator: str
) -> nn.Module:
    """The trained backbone of a finished training artefact, in evaluation mode, on the device `accelerator` names."""
    backbone = assemble(build, interactions, selection).to(device_of(accelerator))
    if isinstance(backbone, Fused):
        fusion.restore(backbone, path)
    elif backbone.trained:
        backbone.load_state_dict(load(path))
    else:
        counting.count(backbone, path)
    return backbone.eval()


def load(path: Path) -> dict[str, Tensor]:
    """The best weights, by name."""
    return load_file(path / WEIGHTS)


def device_of(accelerator: str) -> torch.device:
    """auto: a GPU where there is one."""
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def make_trainer(knobs: Mapping[str, Any], callbacks: Sequence[Any], context: Context) -> Trainer:
    """Lightning's Trainer, which writes nothing by itself."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    local = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // local
    if knobs["devices"] not in (1, "auto") and "WORLD_SIZE" not in os.environ:
        raise InputError(f"trainer.devices={knobs['devices']} needs a process group: start it under torchrun")
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
            plugins=[plugin for callback in callbacks for plugin in getattr(callback, "plugins", [])],
            logger=list(context.loggers) or False,
            default_root_dir=context.work,
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
    training = TrainingLoader(interactions, split, batch_size=knobs["batch_size"], seed=seed, **where)
    return training, EvaluationLoader(interactions, split.valid, scores_mib=knobs["scores_mib"], **where)


class Files:
    """What training leaves in its work folder while it runs. Written by the first process, read by all."""

    def __init__(self, work: Path) -> None:
        self.best = work / "best.safetensors"

    def keep_best(self, state: dict[str, Tensor]) -> None:
        if _first():
            weights = {k.removeprefix("backbone."): v.detach().cpu().contiguous() for k, v in state.items()}
            scratch = self.best.with_suffix(".tmp")
            save_file(weights, scratch)
            scratch.replace(self.best)

    def deliver(self, out: Path, watch: Watch, facts: dict[str, Any]) -> None:
        """Fill the artefact's folder and drop what was only needed to get there."""
        save_file(load_file(self.best), out / WEIGHTS)
        columns = list(dict.fromkeys(name for row in watch.rows for name in row))
        with (out / "curve.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(watch.rows)
        facts = {"monitor": watch.monitor, "best": watch.best, "best_epoch": watch.best_epoch, **facts}
        facts["epochs"] = len(watch.rows)
        write_atomic(out / "facts.json", json.dumps(facts, indent=1))


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"


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
