"""Trained backbone -> the rank of every held-out target in the whole catalogue, and the figures computed from them.

Every case is ranked once, from its own history and without padding; the model reads the last `length` items of it, the
mask leaves out all of it. The ranks are kept, so that other cut-offs, groups and tests need no model; those of each
batch are in the work folder as soon as they are known, so that a stopped run goes on at the batch where it was. With
them are kept the ten best items of every test case (lists.npy): coverage, diversity and calibration are theirs.

ranking=sampled adds the ranks among 100 drawn negatives, under names that no full ranking shares: NDCG@10|100neg.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pte.metric.lists import K, best_items, category_table, summarise_lists
from pte.metric.rank import ranks
from pte.metric.sampled import draws, sampled_ranks, summarise_sampled
from pte.metric.summary import LLM_ESR, check_invariants, groups, summarise
from pte.nn.device import device_of
from pte.nn.noise import CaseNoise
from pte.protocol.group import item_groups, llm_esr_item_groups, llm_esr_user_groups, user_groups
from pte.schema import Cases, Interactions, Selection, Split, one_of
from pte.schema.context import Context
from pte.schema.progress import Progress
from pte.train.loader import EvaluationLoader
from pte.train.state.restore import restore

logger = logging.getLogger(__name__)

NAME = "metrics"
VERSION = 3  # 3: lists of the ten best. 2: a repeated target is a miss where seen items are masked; noise by case
READS = ("representation", "backbone", "optimizer", "trainer", "seed", "ranking", "llm_esr_groups")
PARENTS = ("interactions", "split", "selection", "refit", "training")

RANKINGS = ("full", "sampled")


def run(context: Context) -> None:
    """Rank the validation and test cases; write ranks.npz, metrics.json and facts.json."""
    knobs, seed, ranking = context.config["trainer"], int(context.config["seed"]), context.config["ranking"]
    one_of("ranking", ranking, RANKINGS)
    interactions = Interactions.load(context.parents["interactions"])
    split = Split.load(context.parents["split"])
    selection = Selection.of(context.parents)
    backbone: Any = restore(context.build, context.parents["training"], interactions, selection, knobs["accelerator"])
    device = device_of(knobs["accelerator"])
    arrays: dict[str, Any] = {}
    flat: dict[str, float] = {}
    facts: dict[str, Any] = {"device": str(device), "seed": seed}
    for part, cases in (("valid", split.valid), ("test", split.test)):
        loader = EvaluationLoader(
            interactions, cases, row_length=backbone.length, scores_mib=knobs["scores_mib"], device=device
        )
        began = time.perf_counter()
        draw = draws(len(cases.target), seed=seed) if ranking == "sampled" else None
        kinds = ("masked", "unmasked") if draw is None else ("masked", "unmasked", "sampled")
        results = {kind: resumable_ranks(context.work / f"{part}_{kind}.npy", len(cases.target)) for kind in kinds}
        if part == "test":
            results["best"] = resumable_ranks(context.work / "best.npy", len(cases.target), K)
        rank = rank_cases(backbone, loader, results, seed=seed, part=part, draw=draw)
        facts[f"{part}_seconds"] = round(time.perf_counter() - began, 2)
        if (best := rank.pop("best", None)) is not None:
            np.save(context.out / "lists.npy", best)
            flat |= {
                f"{part}/{key}": value for key, value in beyond_ranks(best, interactions, split, selection).items()
            }
        columns = about(interactions, split, cases, **context.config["llm_esr_groups"])
        flat |= {f"{part}/{key}": value for key, value in figures(rank, groups(columns)).items()}
        arrays |= {f"{part}_{name}": values for name, values in {**rank, **columns}.items()}
    np.savez(context.out / "ranks.npz", **arrays)
    (context.out / "metrics.json").write_text(json.dumps(flat, indent=1), encoding="utf-8")
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def figures(rank: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The flat figures of one part; those of sampled ranks under names of their own."""
    flat = summarise({kind: values for kind, values in rank.items() if kind != "sampled"}, groups)
    check_invariants(flat)
    return flat | summarise_sampled(rank["sampled"], groups) if "sampled" in rank else flat


def beyond_ranks(
    lists: np.ndarray, interactions: Interactions, split: Split, selection: Selection | None
) -> dict[str, float]:
    """Coverage, diversity and calibration of the lists of the test cases."""
    cases, size = split.test, interactions.num_items + 1
    rows = zip(cases.history_begin(interactions).tolist(), cases.target.tolist(), strict=True)
    return summarise_lists(
        lists,
        [interactions.item[begin:end] for begin, end in rows],
        np.bincount(interactions.item[split.train], minlength=size)[1:],
        vectors=None if selection is None else selection.side("item"),
        categories=category_table(interactions.items.text),
    )


def load(path: Path) -> dict[str, float]:
    """The figures by their flat keys."""
    figures: dict[str, float] = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
    return figures


@torch.inference_mode()
def rank_cases(
    backbone: Any,
    loader: EvaluationLoader,
    results: dict[str, np.ndarray],
    *,
    seed: int,
    part: str,
    draw: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """`results` filled: (C,) int32 ranks "masked" and "unmasked", and with `draw` (C, K) "sampled", by case; where it
    holds "best" (C, k), the best items too.

    A rank of -1 is unknown; a batch without any is not ranked again.

    Each case's noise is a function of `seed` and its number, for either part, as it is for validation during training:
    the same draws, the same figure.
    """
    progress = Progress(logger, f"metrics: {part}", "cases", len(results["masked"]))
    for batch in loader:
        cases = batch.case.cpu().numpy()
        if all((rank[cases] >= 0).all() for rank in results.values()):
            progress.total -= len(cases)
            continue
        for some, scores in batch.scored(backbone.score_parts(batch.history, noise=CaseNoise(seed, cases))):
            rank, case = ranks(scores, some.target, some.exclusion), some.case.cpu().numpy()
            results["masked"][case], results["unmasked"][case] = rank.masked.cpu().numpy(), rank.unmasked.cpu().numpy()
            if "best" in results:
                results["best"][case] = best_items(scores, some.exclusion, results["best"].shape[1]).cpu().numpy()
            if draw is not None:
                own = torch.from_numpy(draw[case]).to(scores.device)
                results["sampled"][case] = sampled_ranks(scores, some.target, some.exclusion, own).cpu().numpy()
        progress.advance(len(cases))
    if any((rank < 0).any() for rank in results.values()):
        raise AssertionError(f"{part}: some cases were not ranked")
    return results


def resumable_ranks(file: Path, *shape: int) -> np.ndarray:
    """int32 of this shape in a mapped file, which outlives the process: as it was left, or all -1."""
    try:
        array: np.ndarray = np.load(file, mmap_mode="r+", allow_pickle=False)
        if array.shape == shape and array.dtype == np.int32:
            return array
    except (OSError, ValueError, EOFError):
        pass
    np.save(file.with_suffix(".tmp.npy"), np.full(shape, -1, np.int32))
    file.with_suffix(".tmp.npy").replace(file)
    started: np.ndarray = np.load(file, mmap_mode="r+", allow_pickle=False)
    return started


def about(
    interactions: Interactions, split: Split, cases: Cases, items: int | None = None, users: int | None = None
) -> dict[str, np.ndarray]:
    """Attributes of each case, (C,) by name: user, target item, its training rows, head or tail, tied in time or not.

    items, users: LLM-ESR's thresholds, for head and tail by its rule too.
    """
    target = interactions.item[cases.target]
    count = np.bincount(interactions.item[split.train], minlength=interactions.num_items + 1)
    columns = {
        "user": cases.user,
        "target": target,
        "train_count": count[target].astype(np.int32),
        "head_item": item_groups(interactions, split)[target],
        "head_user": user_groups(interactions, split)[cases.user],
        "tied": cases.tied,
    }
    if items is not None:
        columns[f"{LLM_ESR}head_item"] = llm_esr_item_groups(interactions, split, items)[target]
    if users is not None:
        columns[f"{LLM_ESR}head_user"] = llm_esr_user_groups(interactions, split, users)[cases.user]
    return columns
