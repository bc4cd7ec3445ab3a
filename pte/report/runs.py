"""Finished runs as they lie on disk: read, checked, ready to be compared. What breaks a rule is refused by name.

The rules, true of any ranking with one target per case (published tables break them, so they are checked at load):
Hit@k = Recall@k >= NDCG@k >= MRR@k, none of them falls as k grows, leaving seen items out moves no target down, every
figure is finite, and metrics.json is what ranks.npz says.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pte.metric.summary import MISS, check_invariants, groups, summarise
from pte.paths import RUN_KEYS
from pte.report.format import from_here
from pte.schema import InputError

RANKINGS = ("masked", "unmasked", "sampled")
TEXT_GROUPS = ("profiler", "encoder", "reward", "selector")  # have no part in a run without a `selection` stage
SLACK = 1e-5  # metrics.json may have gone through float32: 2**-24 relative, and a sum of such


@dataclass(frozen=True)
class Ranked:
    """The cases of one part ("valid" or "test") and where their targets stood; all (C,)."""

    case: Mapping[str, np.ndarray]  # what is known of each: user, target, and what the groups follow from
    rank: Mapping[str, np.ndarray]  # by ranking, those of RANKINGS that were made; 0-based
    group: Mapping[str, np.ndarray]  # by name, "all" first; bool

    @property
    def user(self) -> np.ndarray:
        return self.case["user"]

    @property
    def target(self) -> np.ndarray:
        return self.case["target"]

    @property
    def train_count(self) -> np.ndarray | None:
        """How often the target occurs in training; None in a run that did not store it."""
        return self.case.get("train_count")


@dataclass(frozen=True)
class Run:
    """One run folder."""

    path: Path
    report: Mapping[str, Any]  # report.json
    parts: Mapping[str, Ranked]  # by name, "valid" and "test"

    @property
    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.report["config"]
        return config

    @property
    def metrics(self) -> Mapping[str, float]:
        metrics: Mapping[str, float] = self.report["metrics"]
        return metrics

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def reads_text(self) -> bool:
        return "selection" in self.report["stages"]

    @property
    def command(self) -> str:
        return " ".join(self.report["command"])

    @cached_property
    def suffix(self) -> Mapping[str, str]:
        """What follows a metric's name, by ranking: "" where all items are ranked, "|100neg" among 100 drawn ones."""
        suffixes: dict[str, str] = {}
        for key in self.metrics:
            _, ranking, _, leaf = (*key.split("/"), "", "", "", "")[:4]
            if "@" in leaf:
                suffix = leaf[leaf.index("|") :] if "|" in leaf else ""
                if suffixes.setdefault(ranking, suffix) != suffix:
                    raise InputError(
                        f"{self.path}: {ranking} metrics are named both '{suffixes[ranking]}' and '{suffix}'"
                    )
        return suffixes

    @property
    def place(self) -> str:
        return from_here(self.path)

    def key(self, stage: str) -> str:
        return str(self.report["stages"][stage]["key"])

    def option(self, group: str) -> str:
        """What was typed for a config group: "sasrec"."""
        return str(self.report["options"][group])

    def kind(self, group: str) -> str:
        """The class behind it, whatever its option is called: "SASRec"."""
        return str(self.config[group]["_target_"]).rsplit(".", 1)[-1]

    def total(self, field: str) -> float | None:
        """Sum of "wall_seconds" over the stages, from raw files to metrics; None where a stage did not record it."""
        values = [stage.get(field) for stage in self.report["stages"].values()]
        return None if None in values else float(sum(values))

    @property
    def hardware(self) -> str:
        """What trained it, or ranked where nothing was trained: the name of a GPU, or "CPU"."""
        stages = self.report["stages"]
        known = (stages.get(name, {}).get("gpu") for name in ("reader", "training", "metrics"))
        return str(next(filter(None, known), "CPU"))

    @cached_property
    def curve(self) -> Mapping[str, np.ndarray]:
        """As `curve_in` its folder."""
        return curve_in(self.path)


def curve_in(folder: Path) -> dict[str, np.ndarray]:
    """The columns of the curve.csv in a folder, missing values NaN; {} where there is none."""
    file = folder / "curve.csv"
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else ())}


def find(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The run folders named, and all below the folders named (a sweep's), each once, in order; notes on repeats."""
    runs: dict[Path, None] = {}
    notes: dict[str, None] = {}
    for path in paths:
        if not path.is_dir():
            raise InputError(
                f"{path}: no such folder. Give run folders (they hold report.json), evidence (rows.jsonl), or folders"
                " of such."
            )
        below = sorted([*path.rglob("report.json"), *path.rglob("rows.jsonl")], key=_natural)
        if not below:
            raise InputError(
                f"{path}: no report.json or rows.jsonl here or below, so no run has finished here. See its run.log."
            )
        folders = dict.fromkeys(file.parent.resolve() for file in below)
        notes |= dict.fromkeys(f"{folder} was named twice: counted once" for folder in folders if folder in runs)
        runs |= folders
    return list(runs), list(notes)


def unfinished(paths: Sequence[Path]) -> list[str]:
    """A note on every run below that left a log and no report."""
    folders = {log.parent for path in paths for log in path.rglob("run.log")}
    return [
        f"{folder}: no report, so its run was a plan, was stopped, or failed"
        for folder in sorted(folders)
        if not (folder / "report.json").is_file()
    ]


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Folder 10 comes after folder 9."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in path.parts]


def read(path: Path) -> Run:
    """One run, checked."""
    try:
        report = json.loads((path / "report.json").read_text(encoding="utf-8"))
        missing = {"command", "options", "config", "card", "stages", "metrics"} - set(report)
        if not missing and not all(isinstance(report[name], dict) for name in ("config", "card", "stages", "metrics")):
            raise ValueError("a group of it is no group of names and values")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}/report.json cannot be read ({error}): run its command again") from None
    if missing:
        raise InputError(f"{path}/report.json lacks {', '.join(sorted(missing))}: run its command again")
    run = Run(path, report, {part: _ranked(path / "ranks.npz", part) for part in ("valid", "test")})
    _require_one_run(run)
    check(run)
    return run


def _require_one_run(run: Run) -> None:
    """Refuse a folder in which a later run of another configuration stopped, and left an earlier one's figures."""
    try:
        keys = dict(json.loads((run.path / RUN_KEYS).read_text(encoding="utf-8"))["keys"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if other := [name for name, key in keys.items() if name in run.report["stages"] and run.key(name) != key]:
        raise InputError(
            f"{run.path}: its report.json is of an earlier run than its {RUN_KEYS}, with another configuration"
            f" ({other[0]}): the later one stopped or failed. Run it again, in a folder of its own"
        )


def _risen(masked: np.ndarray, unmasked: np.ndarray) -> bool:
    """Whether a target has fallen behind because others left; one that left itself is a miss."""
    return bool(((masked > unmasked) & (masked != MISS)).any())


def _ranked(file: Path, part: str) -> Ranked:
    """One part of ranks.npz."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            names = [name for name in stored.files if name.startswith(f"{part}_")]
            arrays = {name.removeprefix(f"{part}_"): stored[name] for name in names}
        rank = {ranking: arrays.pop(ranking).astype(np.int64) for ranking in RANKINGS if ranking in arrays}
        ranked = Ranked(arrays, rank, groups(arrays))
        _ = ranked.user, ranked.target
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{file} cannot be read ({error}): run the command in report.json again") from None
    except KeyError as error:
        raise InputError(f"{file}: no array {part}_{error.args[0]}: run the command in report.json again") from None
    return ranked


def figures(parts: Mapping[str, Ranked], suffix: Mapping[str, str]) -> dict[str, float]:
    """Every metric of these ranks by its full name; suffix: what follows a metric's name, by ranking."""
    named: dict[str, float] = {}
    for part, ranked in parts.items():
        for name, value in summarise(ranked.rank, ranked.group).items():
            named[f"{part}/{name}" + ("" if name.endswith("/n") else suffix[name.partition("/")[0]])] = value
    return named


def check(run: Run) -> None:
    """Refuse a run that breaks one of this module's rules."""
    suffix = run.suffix
    for key, value in run.metrics.items():
        if not (isinstance(value, int | float) and math.isfinite(value)):
            raise InputError(f"{run.path}: {key} is {value}. A figure that is not a number is not compared.")
    try:
        check_invariants({key.partition("|")[0]: value for key, value in run.metrics.items()})
    except AssertionError as error:
        raise InputError(f"{run.path}: {error}. No ranking with one target per case can do that.") from None
    for part, ranked in run.parts.items():
        rank = ranked.rank
        if set(rank) != set(suffix):
            raise InputError(f"{run.path}: metrics.json has {', '.join(suffix)}, ranks.npz {', '.join(rank)}")
        if any((one < 0).any() for one in rank.values()):
            raise InputError(f"{run.path}: {part} ranks fall below 0")
        if part == "test" and not len(ranked.user):
            raise InputError(f"{run.path}: its test part holds no case, so there is nothing to compare")
        if {"masked", "unmasked"} <= set(rank) and _risen(rank["masked"], rank["unmasked"]):
            raise InputError(f"{run.path}: {part} ranks rise when seen items are left out")
        groups = {name: member for name, member in ranked.group.items() if member.any()}
        for key, value in summarise(ranked.rank, groups).items():
            name = key if key.endswith("/n") else key + suffix[key.partition("/")[0]]
            stated = run.metrics.get(f"{part}/{name}")
            if stated is not None and abs(stated - value) > SLACK:
                raise InputError(f"{run.path}: metrics.json says {part}/{key} = {stated}, ranks.npz says {value:.6f}")
