"""What a run leaves in its folder: resolved config, keys, metrics, ranks, curve, report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pte.artifact import Store, read_manifest, replacing, write_atomic
from pte.asset import knob_content
from pte.engine import provenance
from pte.engine.build import apart
from pte.engine.config.secret import redacted
from pte.paths import RUN_KEYS


def portable(value: Any) -> Any:
    """A copy without secrets and without this machine's folders, so that a report can be shown to others."""
    if isinstance(value, Mapping):
        return {k: portable(v) for k, v in redacted(value).items() if k != "paths"}
    if isinstance(value, list | tuple):
        return [portable(v) for v in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def content(config: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of models and files of one's own, by group: folders of one name are not one model."""
    read = knob_content({group: config[group] for group in ("profiler", "encoder")})
    return {name: sha256[:16] for name, sha256 in read.items() if name.partition(".")[0] in ("profiler", "encoder")}


def command_line(words: Sequence[str]) -> list[str]:
    """The command that makes such a run elsewhere: without folders, and without the stage that was asked for alone."""
    here = ("paths.", "hydra.run.", "hydra.sweep.", "dataset.data=", "stage=")
    overrides = [word for word in words if not word.lstrip("+~").startswith(here)]
    return ["python", "-m", "pte.run", *redacted(overrides)]


def save_config(config: Mapping[str, Any], run_dir: Path) -> None:
    """config.resolved.yaml: every number of this run, interpolations and profiler=auto resolved, no secrets."""
    write_atomic(
        run_dir / "config.resolved.yaml", yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True)
    )


def finished(run_dir: Path, keys: Mapping[str, str]) -> dict[str, float] | None:
    """The metrics of a run that ended in this very folder with these stage keys."""
    try:
        stages = json.loads((run_dir / "report.json").read_text(encoding="utf-8"))["stages"]
        metrics: dict[str, float] = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return metrics if {name: stage["key"] for name, stage in stages.items()} == dict(keys) else None


def save_keys(store: Path, keys: Mapping[str, str], run_dir: Path) -> None:
    """keys.json: where this run's artefacts are, for `pte show` and `pte export`; the store knows the run by it."""
    Store(store).register(run_dir)
    write_atomic(run_dir / RUN_KEYS, json.dumps({"store": str(store), "keys": dict(keys)}, indent=1))


def _copy(file: Path, run_dir: Path) -> None:
    with replacing(run_dir / file.name) as scratch:
        shutil.copyfile(file, scratch)


def deliver(
    done: Mapping[str, Path],
    config: Mapping[str, Any],
    options: Mapping[str, str],
    words: Sequence[str],
    run_dir: Path,
) -> dict[str, float]:
    """Copy metrics.json and ranks.npz into the run folder, write report.json. Returns the metrics."""
    source = done["metrics"]
    for name in ("metrics.json", "ranks.npz"):
        _copy(source / name, run_dir)
    if (curve := done["training"] / "curve.csv").is_file():
        _copy(curve, run_dir)
    metrics: dict[str, float] = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    manifests = {name: read_manifest(path) or {} for name, path in done.items()}
    decisive, runtime = apart(config, config, "Runtime")
    report = {
        "command": command_line(words),
        "options": dict(options),
        "config": portable(decisive),
        "runtime": portable(runtime),
        "content": content(config),
        "card": json.loads((done["interactions"] / "card.json").read_text(encoding="utf-8")),
        "stages": {
            name: {k: m.get(k) for k in ("key", "wall_seconds", "energy_joules", "peak_memory_mib", "gpu", "commit")}
            for name, m in manifests.items()
        },
        **provenance.facts(),
        "parameters": (manifests["training"].get("facts") or {}).get("parameters"),
        "completions": manifests.get("profiles", {}).get("facts"),  # of a language model: unusable, refused, cut ...
        "metrics": metrics,
    }
    write_atomic(run_dir / "report.json", json.dumps(report, indent=1, ensure_ascii=False))
    return metrics
