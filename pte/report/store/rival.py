"""The run to beat: of those in a run's store that were asked the same question, the best by validation."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pte.artifact import Store
from pte.paths import RUN_KEYS
from pte.report import format as fmt
from pte.report.store.content import Content, RunFolder

NAME = "masked/all/NDCG@10"


def sentence(run_dir: Path, report: Mapping[str, Any]) -> str:
    """ "to beat: .0856, the best by validation of 7 runs ...", or that this is it; "" where it is the first."""
    try:
        store = Store(Path(json.loads((run_dir / RUN_KEYS).read_text(encoding="utf-8"))["store"]))
    except (OSError, ValueError, KeyError):
        return ""
    own, runs = report["metrics"].get(f"valid/{NAME}"), []
    for run in Content(store.root, run_dir).runs:
        if run.path.resolve() != run_dir.resolve() and (value := _figure(run, report)) is not None:
            runs.append((value, run))
    if not runs or own is None:
        return ""
    best, rival = max(runs, key=lambda pair: pair[0])
    others = f"{len(runs)} other run{'s' * (len(runs) > 1)} of these data and this protocol"
    if own >= best:
        return f"by validation ({fmt.plain(own)}) no worse than {others} in this store"
    assert rival.report is not None
    figure = fmt.plain(rival.report["metrics"].get(f"test/{NAME}"))
    command = shlex.join(["pte", *rival.report["command"][3:]])
    return (
        f"to beat: {figure}, the best by validation ({fmt.plain(best)} against {fmt.plain(own)} here) of {others}:"
        f" {command}"
    )


def _figure(run: RunFolder, report: Mapping[str, Any]) -> float | None:
    """Its validation figure, where it was asked what `report` was."""
    if run.report is None:
        return None
    split = run.report.get("stages", {}).get("split", {}).get("key")  # keys.json may be of a later plan in its folder
    if split != report["stages"]["split"]["key"]:
        return None
    value = run.report.get("metrics", {}).get(f"valid/{NAME}")
    return None if value is None else float(value)
