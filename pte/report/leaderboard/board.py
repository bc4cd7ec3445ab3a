"""Rows of a leaderboard: data set x protocol x method, from run folders and committed evidence.

Runs that were asked the same question stand on one board, whatever evidence they come from; replicates (one method,
several seeds) are averaged within one evidence folder, or within all run folders together, never across them, since
their code may differ. Intervals are over users where ranks are kept (bootstrap of the seeds' mean), else over seeds
(Student's t), else unknown. docs/leaderboard.md lists the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.special import stdtrit

from pte.metric.summary import values
from pte.report import evidence, runs
from pte.report.compare import methods
from pte.report.compare.comparison import mean_interval, parse
from pte.report.compare.methods import FIELDS, KNOWN_ROWS, Method
from pte.report.runs import Run

VERSION = 1  # of the fields
PART, RANKINGS = "test", ("masked", "unmasked")
RUNS = "runs"  # the source of what comes from run folders
REFUSALS = ("unknown_share",)  # knobs of a protocol that say when a run stops, not what it is asked
DRAWS, LEVEL = 1_000, 0.95


def read(folder: Path) -> list[Run]:
    """The runs of a run folder or of evidence, with or without ranks."""
    return evidence.read(folder, ranks=False) if evidence.holds(folder) else [runs.read(folder)]


def question(run: Run) -> dict[str, Any]:
    """What a run was asked: equal for runs that share a board."""
    card, protocol = run.report["card"], run.config["protocol"]
    asks = {name for name, value in protocol.items() if value is not None and not name.startswith("_")}
    knobs = {name: protocol[name] for name in protocol if name in asks - {*KNOWN_ROWS, *REFUSALS}}
    return {
        "dataset": {name: card.get(name) for name in evidence.CARD},
        "protocol": {"name": run.option("protocol"), "knobs": knobs},
        "part": PART,
        "cases": int(run.metrics[f"{PART}/masked/all/n"]),
    }


def boards(sources: Mapping[str, Sequence[Run]], metrics: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Boards, each {**question, "rows": ...}, best row first by the first metric, masked; and notes on what was left
    out. found: runs by their source.
    """
    by_question: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for source, runs_and_trials in sources.items():
        every = [run for run in runs_and_trials if not _trial(run)]
        if trials := len(runs_and_trials) - len(every):
            notes.append(f"{source}: {trials} trials of searches; the best of many by its test figure flatters")
        groups: dict[str, list[Run]] = {}
        for run in every:
            groups.setdefault(json.dumps(question(run), sort_keys=True), []).append(run)
        for name, alike in groups.items():
            runs, remarks = (alike, []) if source != RUNS else latest(alike)
            grouped, repeated = methods.group(runs)
            notes += remarks + repeated
            board = by_question.setdefault(name, {**question(alike[0]), "rows": []})
            board["rows"] += [row(method, source, metrics) for method in grouped]
    for board in by_question.values():
        board["rows"].sort(key=lambda row: (-row["figures"][f"masked/{metrics[0]}"]["mean"], row["method"]))
    order = sorted(by_question.values(), key=lambda board: (board["dataset"]["name"], board["protocol"]["name"]))
    return order, notes


def _trial(run: Run) -> bool:
    """Whether a search made it, which tries many and means none."""
    return str(run.report["options"].get("experiment", "")).startswith("search_")


def latest(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Of run folders that repeat one method and seed the one written last, and a note on every other one."""
    newest: dict[str, Run] = {}
    notes = []
    for run in sorted(runs, key=lambda run: (run.path / "report.json").stat().st_mtime_ns):
        name = json.dumps([methods.identity(run), run.seed], sort_keys=True)
        if name in newest:
            notes.append(f"{newest[name].place}: {run.place} is the same method and seed, and newer")
        newest[name] = run
    return list(newest.values()), notes


def row(method: Method, source: str, metrics: Sequence[str]) -> dict[str, Any]:
    """One method as the schema has it."""
    first = method.runs[0]
    return {
        "method": method.label,
        **{field: method.name(field) or None for field in FIELDS},
        "seeds": method.seeds,
        "figures": {
            f"{ranking}/{metric}": figure(method, ranking, metric) for ranking in RANKINGS for metric in metrics
        },
        "seconds": method.seconds(),
        "hardware": first.hardware,
        "energy_joules": first.total("energy_joules"),
        "parameters": parameters(method),
        "ranks": bool(first.parts),
        "commit": first.report.get("commit"),
        "command": first.command,
        "source": source,
    }


def parameters(method: Method) -> int | None:
    """Trained parameters; None where the run did not record them."""
    first = method.runs[0]
    stated = first.report.get("parameters")
    return 0 if stated is None and methods.counts(first) else stated


def figure(method: Method, ranking: str, metric: str) -> dict[str, Any]:
    """Mean over seeds, each seed's value, and an interval with what it is over."""
    by_seed = [run.metrics[f"{PART}/{ranking}/all/{metric}"] for run in method.runs]
    low, high, over = interval(method, ranking, metric, by_seed)
    return {"mean": fmean(by_seed), "by_seed": by_seed, "low": low, "high": high, "interval": over}


def interval(
    method: Method, ranking: str, metric: str, by_seed: Sequence[float]
) -> tuple[float, float, str] | tuple[None, None, None]:
    """95 % interval of the mean, and "users" or "seeds"."""
    if method.runs[0].parts:
        name, k = parse(metric)
        parts = [run.parts[PART] for run in method.runs]
        case = np.mean([values(name, part.rank[ranking], k) for part in parts], axis=0)
        interval = mean_interval(case, parts[0].user, DRAWS, LEVEL)
        return interval.low, interval.high, "users"
    if len(by_seed) < 2:
        return None, None, None
    n = len(by_seed)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * stdev(by_seed) / n**0.5
    return fmean(by_seed) - half, fmean(by_seed) + half, "seeds"
