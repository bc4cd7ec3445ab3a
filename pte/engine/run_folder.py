"""What a run leaves in its folder and loggers: resolved config, keys, metrics, ranks, curves, sample profiles."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pte.artifact import read_manifest, write_atomic
from pte.engine import provenance
from pte.engine.secret import redacted

SHOWN_PROFILES = 24


def portable(value: Any) -> Any:
    """A copy without secrets and without this machine's folders, so that a report can be shown to others."""
    if isinstance(value, Mapping):
        return {k: portable(v) for k, v in redacted(value).items() if k != "paths"}
    if isinstance(value, list | tuple):
        return [portable(v) for v in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def command_line(words: Sequence[str]) -> list[str]:
    """The command that made a run, as one would type it elsewhere: overrides of folders are left out."""
    kept = [
        w for w in words if not w.lstrip("+~").startswith(("paths.", "hydra.run.", "hydra.sweep.", "dataset.data="))
    ]
    return ["python", "-m", "pte.run", *redacted(kept)]


def save_config(config: Mapping[str, Any], run_dir: Path) -> None:
    """config.resolved.yaml: every number of this run, interpolations and profiler=auto resolved, no secrets."""
    write_atomic(
        run_dir / "config.resolved.yaml", yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True)
    )


def open_loggers(config: Mapping[str, Any], construct: Any, run_dir: Path, group: str | None) -> list[Any]:
    """The loggers of conf/logger, all writing below the run folder."""
    loggers = []
    for name, knobs in config["logger"].items():
        facts: dict[str, Any] = {"save_dir": str(run_dir)}
        if name == "wandb":
            words = [a for a in sys.argv[1:] if "=" in a and not a.startswith(("hydra", "paths", "-"))]
            facts |= {"group": group, "name": knobs.get("name") or " ".join(words)[:120] or "default"}
        loggers.append(construct({**knobs, **facts}, f"conf/logger.{name}"))
    for each in loggers:
        each.log_hyperparams(redacted(config))
    return loggers


def record_keys(loggers: Sequence[Any], keys: Mapping[str, str]) -> None:
    """The stage keys, so that a logged number can be traced to its artefacts."""
    for each in loggers:
        each.log_hyperparams({"stage_key": dict(keys)})


def sample_profiles(path: Path) -> list[dict[str, Any]]:
    """Rows (side, entity, candidate, text, reward, chosen ...) that the selection stage kept for people to read."""
    file = path / "samples.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def deliver(
    done: Mapping[str, Path],
    config: Mapping[str, Any],
    options: Mapping[str, str],
    loggers: Sequence[Any],
    run_dir: Path,
) -> dict[str, float]:
    """Copy metrics.json and ranks.npz into the run folder, write report.json, fill the loggers. Returns the metrics."""
    source = done["metrics"]
    for name in ("metrics.json", "ranks.npz"):
        shutil.copyfile(source / name, run_dir / name)
    if (curve := done["training"] / "curve.csv").is_file():
        shutil.copyfile(curve, run_dir / "curve.csv")
    metrics: dict[str, float] = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    manifests = {name: read_manifest(path) or {} for name, path in done.items()}
    report = {
        "command": command_line(sys.argv[1:]),
        "options": dict(options),
        "config": portable(config),
        "card": json.loads((done["interactions"] / "card.json").read_text(encoding="utf-8")),
        "stages": {
            name: {k: m.get(k) for k in ("key", "wall_seconds", "peak_memory_mib", "gpu", "commit")}
            for name, m in manifests.items()
        },
        **provenance.facts(),
        "metrics": metrics,
    }
    write_atomic(run_dir / "report.json", json.dumps(report, indent=1, ensure_ascii=False))
    if loggers:  # Lightning and W&B take seconds to import
        from pte.train import logger

        if "selection" in done:
            rows = sample_profiles(done["selection"])[:SHOWN_PROFILES]
            if rows:
                columns = list(rows[0])
                logger.log_table(loggers, "profiles", columns, [[row.get(c) for c in columns] for row in rows])
        logger.log_summary(loggers, metrics)
    return metrics


def finish(loggers: Sequence[Any]) -> None:
    """Close every logger, also after a failure."""
    if loggers:
        from pte.train import logger

        logger.finish(loggers)
