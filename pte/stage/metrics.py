"""Trained backbone -> the rank of every held-out target in the whole catalogue, and the figures computed from them.

Every case is ranked once, from its own history and without padding; the model reads the last `length` items of it, the
mask leaves out all of it. The ranks are kept, so that other cut-offs, groups and tests need no model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pte.lit.data import EvaluationLoader
from pte.metric.rank import ranks
from pte.metric.summary import check_invariants, summarise
from pte.protocol.group import item_groups, user_groups
from pte.schema import Cases, Interactions, Split
from pte.stage import interactions as interactions_stage
from pte.stage import split as split_stage
from pte.stage import training as training_stage
from pte.stage.context import Context

NAME = "metrics"
VERSION = 1
READS = training_stage.READS
IDLE = training_stage.IDLE
PARENTS = ("interactions", "split", "selection", "training")

TELL_SECONDS = 20.0


def run(context: Context) -> None:
    """Rank the validation and test cases; write ranks.npz, metrics.json and facts.json."""
    knobs, seed = context.config["trainer"], int(context.config["seed"])
    interactions = interactions_stage.load(context.parents["interactions"])
    split = split_stage.load(context.parents["split"])
    backbone = training_stage.restore(
        context.build,
        context.parents["training"],
        interactions,
        training_stage.chosen(context.parents.get("selection")),
        knobs["accelerator"],
    )
    device = training_stage.device_of(knobs["accelerator"])
    arrays: dict[str, np.ndarray] = {}
    flat: dict[str, float] = {}
    facts: dict[str, Any] = {"device": str(device), "seed": seed}
    for part, cases in (("valid", split.valid), ("test", split.test)):
        loader = EvaluationLoader(
            interactions, cases, row_length=backbone.length, scores_mib=knobs["scores_mib"], device=device
        )
        began = time.perf_counter()
        rank = rank_cases(backbone, loader, len(cases.target), seed=seed, say=context.say, part=part)
        facts[f"{part}_seconds"] = round(time.perf_counter() - began, 2)
        told = about(interactions, split, cases)
        flat |= {f"{part}/{key}": value for key, value in summarise(rank, groups(told)).items()}
        arrays |= {f"{part}_{name}": values for name, values in {**rank, **told}.items()}
    check_invariants(flat)
    np.savez(context.out / "ranks.npz", **arrays)
    (context.out / "metrics.json").write_text(json.dumps(flat, indent=1), encoding="utf-8")
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load(path: Path) -> dict[str, float]:
    """The figures by their flat keys."""
    return json.loads((path / "metrics.json").read_text(encoding="utf-8"))


@torch.inference_mode()
def rank_cases(
    backbone: Any, loader: EvaluationLoader, count: int, *, seed: int, say: Callable[[str], None], part: str
) -> dict[str, np.ndarray]:
    """{"masked": (C,), "unmasked": (C,)} int32 ranks, in the order of the cases.

    Sampling starts from `seed` for either part, as validation during training does: the same draws, the same figure.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {kind: np.full(count, -1, np.int32) for kind in ("masked", "unmasked")}
    began = told = time.monotonic()
    done = 0
    for question in loader:
        scores = backbone.score(question.history, generator=generator)
        rank, case = ranks(scores, question.target, question.seen), question.case.cpu().numpy()
        found["masked"][case], found["unmasked"][case] = rank.masked.cpu().numpy(), rank.unmasked.cpu().numpy()
        done, now = done + len(case), time.monotonic()
        if now - told >= TELL_SECONDS:
            left = (now - began) * (count - done) / done
            say(f"metrics: {part} {done:,} of {count:,} cases ranked, {left:,.0f} s left")
            told = now
    if any((rank < 0).any() for rank in found.values()):
        raise AssertionError(f"{part}: some cases were not ranked")
    return found


def about(interactions: Interactions, split: Split, cases: Cases) -> dict[str, np.ndarray]:
    """What each case is, (C,) by name: user, target item, its training rows, head or tail, tied in time or not."""
    target = interactions.item[cases.target]
    count = np.bincount(interactions.item[split.train], minlength=interactions.num_items + 1)
    return {
        "user": cases.user,
        "target": target,
        "train_count": count[target].astype(np.int32),
        "head_item": item_groups(interactions, split)[target],
        "head_user": user_groups(interactions, split)[cases.user],
        "tied": cases.tied,
    }


def groups(told: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups of cases that figures are given for; "untied" where some targets' order is a convention."""
    named = {"all": np.ones(len(told["user"]), bool)}
    if told["tied"].any():
        named["untied"] = ~told["tied"]
    for side in ("item", "user"):
        named |= {f"head_{side}s": told[f"head_{side}"], f"tail_{side}s": ~told[f"head_{side}"]}
    return named
