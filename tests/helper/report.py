"""Run folders as a finished run leaves them, from ranks written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pte.metric.summary import summarise

SECONDS = {"interactions": 2.0, "split": 1.0, "training": 20.0, "metrics": 3.0}
WITH_TEXT = ("profiles", "embeddings", "selection")


def groups_of(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups of cases that metrics.json reports."""
    head_item, head_user, tied = arrays["head_item"], arrays["head_user"], arrays["tied"]
    return {
        "all": np.ones(len(tied), bool), "untied": ~tied, "head_items": head_item, "tail_items": ~head_item,
        "head_users": head_user, "tail_users": ~head_user,
    }  # fmt: skip


def part_of(masked: list[int], unmasked: list[int] | None = None, **arrays: Any) -> dict[str, np.ndarray]:
    """The arrays of one part: one case per user, the first half of the items head, unless told otherwise."""
    n = len(masked)
    half = np.arange(n) < n // 2
    plain: dict[str, Any] = {
        "user": np.arange(n, dtype=np.int32), "target": np.arange(1, n + 1), "head_item": half, "head_user": ~half,
        "tied": np.zeros(n, bool), "masked": masked, "unmasked": masked if unmasked is None else unmasked,
    }  # fmt: skip
    return {name: np.asarray(value) for name, value in (plain | arrays).items()}


def write_run(
    folder: Path,
    test: Mapping[str, np.ndarray] | list[int],
    *,
    backbone: str = "sasrec.SASRec",
    representation: str = "id.Id",
    seed: int = 0,
    text: bool = False,
    dataset: str = "Eight",
    protocol: str = "leave_one_out.LeaveOneOut",
    split_key: str = "5" * 64,
    knobs: Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Mapping[str, float] | None = None,
    gpu: str | None = None,
    commit: str | None = "abc",
) -> Path:
    """One finished run; `metrics` overrules single figures, `knobs` adds to config groups."""
    test = part_of(test) if isinstance(test, list) else dict(test)
    flat: dict[str, float] = {}
    for part in ("valid", "test"):
        ranks = {ranking: test[ranking] for ranking in ("masked", "unmasked", "sampled") if ranking in test}
        for key, value in summarise(ranks, groups_of(test)).items():
            flat[f"{part}/{key}" + ("|100neg" if key.startswith("sampled") and "@" in key else "")] = value
    targets = {"backbone": backbone, "representation": representation, "protocol": protocol}
    targets |= {"profiler": "template.TemplateProfiler", "encoder": "minilm.MiniLM", "reward": "pte.Mixture"}
    targets |= {"selector": "grpo.Grpo", "optimizer": "adam.Adam"}
    config = {
        group: {"_target_": f"pte.{group}.{name}", **(knobs or {}).get(group, {})} for group, name in targets.items()
    }
    options = {group: str(values["_target_"]).split(".")[2] for group, values in config.items()}
    config |= {"seed": seed, "trainer": {"max_epochs": 9, **(knobs or {}).get("trainer", {})}}
    stages = {**SECONDS, **dict.fromkeys(WITH_TEXT if text else (), 10.0)}
    keys = {name: f"{abs(hash((name, str(config)))):064d}" for name in stages}
    keys |= {"interactions": f"{dataset:0<64}", "split": split_key}
    report = {
        "options": options,
        "command": ["python", "-m", "pte.run", f"seed={seed}"],
        "config": config,
        "runtime": (knobs or {}).get("runtime", {"trainer": {"devices": 1}}),
        "card": {"name": dataset, "users": len(test["user"]), "items": 100, "interactions": 1234},
        "stages": {
            n: {"key": keys[n], "wall_seconds": stages[n], "peak_memory_mib": 100, "gpu": gpu, "commit": commit}
            for n in stages
        },
        "commit": commit,
        "metrics": flat | dict(metrics or {}),
    }
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "run.log").write_text("done\n")
    np.savez(folder / "ranks.npz", **{f"{part}_{k}": v for part in ("valid", "test") for k, v in test.items()})
    return folder
