"""What a run sends to its loggers: who it is (name, tags, group, choices, knobs, keys, versions) and what came out.

conf/logger names any Lightning loggers; each gets the same flat config and rows. W&B gets a name, tags and a place in
its sweep as well, so that runs can be distinguished, grouped and plotted against each other without editing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pte.engine import provenance
from pte.engine.build import construct
from pte.engine.config.secret import redacted
from pte.engine.trust import trusted
from pte.train.curve import rows_of

PROFILE_SAMPLE = 24

ELSEWHERE = ("hydra", "paths", "logger", "-")  # overrides that say where to write, not what to run
TAG_LENGTH, NAME_LENGTH = 64, 120  # W&B refuses longer tags


@dataclass(frozen=True)
class Identity:
    """The identity of a run: the option chosen of every group, its own overrides, the sweep it is a job of."""

    options: Mapping[str, str]
    words: Sequence[str]
    group: str | None

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


def _leaves(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{above}{key}.")
        elif not key.startswith("_"):
            leaves[f"{above}{key}"] = value
    return leaves


def open_loggers(config: Mapping[str, Any], run_dir: Path, identity: Identity, keys: Mapping[str, str]) -> list[Any]:
    """The loggers of conf/logger, all writing below the run folder. They know the run's config and stage keys."""
    loggers = []
    for name, knobs in config["logger"].items():
        facts: dict[str, Any] = {"save_dir": str(run_dir)}
        if name == "wandb":
            facts |= identity.for_wandb(knobs.get("name"))
        loggers.append(construct({**knobs, **facts}, f"conf/logger.{name}", trusted(config)))
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
        curve = rows_of(done["training"])
        logger.log_figures(loggers, metrics, monitor, step=int(curve[-1]["step"]) if curve else 0)


def sample_profiles(path: Path) -> list[dict[str, Any]]:
    """Rows (side, entity, candidate, text, reward, chosen ...) that the selection stage saved."""
    file = path / "samples.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def finish(loggers: Sequence[Any], succeeded: bool) -> None:
    """Close every logger, also after a failure."""
    if loggers:
        from pte.train import logger

        logger.finish(loggers, succeeded)
