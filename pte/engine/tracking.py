"""What a run sends to its loggers: who it is (name, tags, group, choices, knobs, keys, versions) and what came out.

conf/logger names any Lightning loggers; each gets the same flat config and rows. W&B gets a name, tags and a place in
its sweep as well, so that runs can be distinguished, grouped and plotted against each other without editing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pte.engine import provenance
from pte.engine.build import construct
from pte.engine.config.secret import NAME, redacted
from pte.engine.trust import trusted
from pte.metric.summary import MISS
from pte.schema import InputError, Interactions, Split, one_of
from pte.schema.knob import leaves
from pte.train.curve import rows_of

PROFILE_SAMPLE, CASE_SAMPLE = 24, 24
RANKS_TO = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)  # upper edges of the histogram of ranks

ELSEWHERE = ("hydra", "paths", "logger", "-")  # overrides that say where to write, not what to run
TAG_LENGTH, NAME_LENGTH = 64, 120  # W&B refuses longer tags


@dataclass(frozen=True)
class Identity:
    """The identity of a run: the option chosen of every group, its own overrides, the sweep it is a job of.

    watchers: given what is logged while a stage is made, beside the loggers.
    """

    options: Mapping[str, str]
    words: Sequence[str]
    group: str | None
    watchers: Sequence[Any] = ()

    def for_wandb(self, name: str | None) -> dict[str, Any]:
        words = redacted([w for w in self.words if not w.lstrip("+~").startswith(ELSEWHERE)])
        method = [self.options[k] for k in ("representation", "backbone") if k in self.options]
        return {
            "name": name or " ".join(words)[:NAME_LENGTH] or "default",
            "tags": [word[:TAG_LENGTH] for word in words],
            "group": self.group,
            "job_type": "/".join(method) or None,
        }


def flat_config(config: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """group -> its option (dataset: Toys), and group.knob -> value; no class paths, secrets or folders."""
    return {**options, **_leaves({k: v for k, v in redacted(config).items() if k not in ("paths", "logger")})}


def _leaves(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in leaves(values, lists=True) if not k.rpartition(".")[2].startswith("_")}


def check(config: Mapping[str, Any]) -> None:
    """InputError for a W&B mode that there is not, of our own logger of that name."""
    knobs = (config.get("logger") or {}).get("wandb") or {}
    if knobs.get("_target_") == "pte.train.logger.wandb_logger":
        one_of("logger.wandb.mode", knobs.get("mode"), ("auto", "online", "offline", "disabled"))


def open_loggers(config: Mapping[str, Any], run_dir: Path, identity: Identity, keys: Mapping[str, str]) -> list[Any]:
    """The loggers of conf/logger, all writing below the run folder. They know the run's config and stage keys."""
    loggers = []
    for name, knobs in (config.get("logger") or {}).items():
        facts: dict[str, Any] = {"save_dir": str(run_dir)}
        if name == "wandb":
            facts |= identity.for_wandb(knobs.get("name"))
        settings = {knob: value if NAME.search(knob) else redacted(value) for knob, value in knobs.items()}
        try:
            loggers.append(construct({**settings, **facts}, f"conf/logger.{name}", trusted(config)))
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            remedy = (
                f"{missing} is not installed. Type: pip install {missing}" if missing else " ".join(str(error).split())
            )
            raise InputError(f"logger={name}: {remedy}") from None
    if loggers:
        flat = flat_config(config, identity.options) | _leaves({"stage_key": keys, **provenance.facts()})
        for each in loggers:
            each.log_hyperparams(flat)
    return loggers


def deliver(loggers: Sequence[Any], metrics: Mapping[str, float], monitor: str, done: Mapping[str, Path]) -> None:
    """The final figures, and profiles to read."""
    if loggers:  # Lightning and W&B take seconds to import
        from pte.train import logger

        rows = sample_profiles(done["selection"])[:PROFILE_SAMPLE] if "selection" in done else []
        if rows:
            columns = list(rows[0])
            logger.log_table(loggers, "profiles", columns, [[row.get(c) for c in columns] for row in rows])
        if "metrics" in done:
            logger.log_table(loggers, "ranks", *rank_table(done["metrics"]))
            logger.log_table(loggers, "recommendations", *recommendation_table(done))
        curve = rows_of(done["training"])
        logger.log_figures(loggers, metrics, monitor, step=int(curve[-1]["step"]) if curve else 0)


def sample_profiles(path: Path) -> list[dict[str, Any]]:
    """Rows (side, entity, candidate, text, reward, chosen ...) that the selection stage saved."""
    file = path / "samples.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def rank_table(metrics: Path) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: how many test cases have their target within each of RANKS_TO, by ranking; misses the last."""
    with np.load(metrics / "ranks.npz", allow_pickle=False) as file:
        ranks = {name: file[f"test_{name}"] for name in ("masked", "unmasked")}
    edges = np.array([0, *RANKS_TO, MISS])  # a rank of 0 is the first place
    counts = [np.histogram(rank, [*edges, MISS + 1])[0].tolist() for rank in ranks.values()]
    names = [
        *(f"{low + 1}-{high}" for low, high in itertools.pairwise(edges[:-1].tolist())),
        f"beyond {RANKS_TO[-1]}",
        "miss",
    ]
    return ["rank", *ranks], [list(row) for row in zip(names, *counts, strict=True)]


def recommendation_table(done: Mapping[str, Path]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: CASE_SAMPLE test cases at even distances with the end of the history, the target, the list."""
    columns = ["user", "history", "held out", "rank", "recommended"]
    file = done["metrics"] / "lists.npy"
    if not file.is_file():
        return columns, []
    data, cases = Interactions.load(done["interactions"]), Split.load(done["split"]).test
    lists = np.load(file, allow_pickle=False)
    with np.load(done["metrics"] / "ranks.npz", allow_pickle=False) as arrays:
        rank = arrays["test_masked"]
    begin, title, rows = cases.history_begin(data), data.items.title, []
    for case in np.unique(np.linspace(0, len(lists) - 1, CASE_SAMPLE).astype(int)).tolist():
        end = int(cases.target[case])
        history = " → ".join(title[i] for i in data.item[max(int(begin[case]), end - 8) : end])
        place = None if rank[case] == MISS else int(rank[case]) + 1
        best = " | ".join(title[i] for i in lists[case].tolist() if i)
        rows.append([data.user_id[int(data.user[end])], history, title[int(data.item[end])], place, best])
    return columns, rows


def finish(loggers: Sequence[Any], succeeded: bool) -> None:
    """Close every logger, also after a failure."""
    if loggers:
        from pte.train import logger

        logger.finish(loggers, succeeded)
