"""The training stage of backbone=fused: take the trained reader, count, fit the gates on other rows, count again.

Leaves weights.safetensors (reader.* and gate), sequences.npz where an expert counts, and facts.json with the gates.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pte.artifact import write_atomic
from pte.backbone.expert.repeat import repeat_share
from pte.backbone.fused import Fused
from pte.nn.batch import History
from pte.protocol.withhold import holdout_cases
from pte.schema import InputError, Interactions, Split
from pte.schema.context import Context
from pte.train import check, counting
from pte.train.curve import FILE as CURVE
from pte.train.loader import EvaluationLoader

logger = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"


def run(context: Context, backbone: Fused, interactions: Interactions, split: Split, device: torch.device) -> None:
    """Fill the artefact's folder; the reader's weights, curve and facts come from the stage `reader`. In a process
    group the first process does it all.
    """
    rest = reader_split(interactions, split)
    if not counting.first():
        return
    cases = holdout_cases(interactions, split)
    facts: dict[str, Any] = {"trained": False, "parameters": 0, "free_per_item": 0}
    if backbone.reader is not None:
        if "reader" not in context.parents:
            raise InputError(f"backbone: {type(backbone).__name__} has a reader, so its trains_reader must say so")
        trained = context.parents["reader"]
        backbone.reader.load_state_dict(load_file(trained / WEIGHTS))
        facts = json.loads((trained / "facts.json").read_text(encoding="utf-8"))
        shutil.copyfile(trained / CURVE, context.out / CURVE)
    began = time.perf_counter()
    backbone.to(device).eval()
    sequences = counting.sequences(interactions, rest)
    backbone.fit(*sequences)

    def batches() -> Iterator[tuple[History, Tensor, Tensor]]:
        for batch in EvaluationLoader(interactions, cases, row_length=backbone.length, device=device):
            yield batch.history, batch.target, batch.exclusion

    gates = backbone.fit_gates(batches())
    share = repeat_share(*counting.sequences(interactions, split))
    gates |= backbone.fit_repeat(((history, target) for history, target, _ in batches()), share)
    facts |= {**gates, "gate_seconds": round(time.perf_counter() - began, 2)}
    if backbone.counts:
        facts |= counting.write(interactions, split, context.out)
    save_file({k: v.cpu().contiguous() for k, v in backbone.state_dict().items()}, context.out / WEIGHTS)
    write_atomic(context.out / "facts.json", json.dumps(facts, indent=1))
    logger.info(
        f"  score = {formula(gates['gates'], gates.get('popularity'))} {gates['repeat']:+.2f} in the history;"
        f" fitted on {gates['gate_rows']:,} rows no expert was fitted on"
    )


def reader_split(interactions: Interactions, split: Split) -> Split:
    """What the experts are fitted on: the split without the rows held out for the gates. InputError where there are
    none, or where texts may state them.
    """
    if not len(holdout_cases(interactions, split).target):
        raise InputError(check.NO_HOLDOUT)
    refuse_visible(interactions, split)
    return replace(split, train=split.rest)


def refuse_visible(interactions: Interactions, split: Split) -> None:
    """InputError where texts may state a row that the gates are fitted on: they would trust whatever reads it."""
    holdout = split.train & ~split.rest
    pair = interactions.user.astype(np.int64) * (interactions.num_items + 1) + interactions.item
    if leaks := int((np.isin(pair, pair[split.visible]) & holdout).sum()):
        raise InputError(
            f"backbone=fused: prompts may show {leaks:,} of the {int(holdout.sum()):,} training rows that its gates are"
            " fitted on, so its gates would trust what is written there. A protocol keeps `visible` and `holdout` apart"
        )


def restore(backbone: Fused, path: Path) -> None:
    """What `run` left in `path`, into a backbone on its device."""
    backbone.load_state_dict(load_file(path / WEIGHTS))
    if backbone.counts:
        counting.count(backbone, path)


def formula(gates: dict[str, list[float]], popularity: list[float] | None = None) -> str:
    """One line: what is added up, and how much of it."""
    terms = [f"{a:.2f} {name}" if not b else f"({a:.2f} {b:+.2f} log length) {name}" for name, (a, b) in gates.items()]
    if popularity is not None:
        terms.append("({:.2f} x {:+.2f} x^2, x: popularity)".format(*popularity))
    return " + ".join(terms)
