"""Evidence: a folder from which every figure of a table is computed again, without a model and without the data.

    README.md    the claim and the commands
    rows.jsonl   a line per run: command, configuration, stage keys, commit, versions, seconds
    ranks.npz    users, targets and groups once; per part and ranking (R, C) uint8 ranks, a row per line of rows.jsonl
    table.md     what `pte compare FOLDER` makes of the two, by the command that it names

A rank of 255 stands for 255 and beyond, so that every cut-off up to 255 is exact. What was made by code that differs
from its commit is refused, as nobody could make it again.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pte.artifact import replacing, write_atomic
from pte.metric.summary import MISS, groups
from pte.report.runs import RANKINGS, Ranked, Run, figures
from pte.schema import InputError

ROWS, RANKS = "rows.jsonl", "ranks.npz"
CLIP = 255
REPEAT = "repeat"  # targets of the history: misses by rule where seen items are masked, in every run
FACTS = ("command", "commit", "options", "config", "content", "parameters", "versions", "platform")
CARD = ("name", "users", "items", "interactions", "sha256")
STAGE = ("key", "wall_seconds", "energy_joules", "gpu", "commit")


def holds(folder: Path) -> bool:
    """Whether a folder is evidence."""
    return (folder / ROWS).is_file()


def require_clean(runs: Sequence[Run], commit: str | None) -> None:
    """Refuse runs and stages that no commit describes, and a tree that differs from its own."""
    if commit is None or commit.endswith("-dirty"):
        raise InputError(
            "--evidence: this code is not a clean git checkout, so nobody could make the table again: commit what"
            " `git status pte conf pyproject.toml` shows, then type the command again"
        )
    for run in runs:
        commits = {"run": run.report.get("commit")}
        commits |= {f"stage {name}": facts.get("commit") for name, facts in run.report["stages"].items()}
        for noun, by in commits.items():
            if by is None or by.endswith("-dirty"):
                raise InputError(
                    f"--evidence: {run.path}: its {noun} was made by {by or 'code of no known commit'}, so nobody could"
                    f" make it again. From a clean checkout and with a fresh store: {run.command} paths.store=NEW"
                )


def write(folder: Path, runs: Sequence[Run]) -> None:
    """rows.jsonl and ranks.npz of runs that were asked the same question, in the table's order."""
    arrays: dict[str, np.ndarray] = {}
    for part, first in runs[0].parts.items():
        arrays |= {f"{part}_{name}": values for name, values in first.case.items()}
        if "masked" in first.rank:
            arrays[f"{part}_{REPEAT}"] = first.rank["masked"] == MISS
        for ranking in first.rank:
            ranks = np.stack([run.parts[part].rank[ranking] for run in runs])
            arrays[f"{part}_{ranking}"] = ranks.clip(max=CLIP).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / RANKS) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    write_atomic(folder / ROWS, "".join(json.dumps(_row(run), ensure_ascii=False) + "\n" for run in runs))


def _row(run: Run) -> dict[str, Any]:
    report = run.report
    return {
        **{name: report.get(name) for name in FACTS},
        "card": {name: report["card"].get(name) for name in CARD},
        "stages": {
            name: {fact: facts.get(fact) for fact in STAGE if facts.get(fact) is not None}
            for name, facts in report["stages"].items()
        },
        "rankings": dict(run.suffix),
    }


def write_readme(folder: Path, claim: str, runs: Sequence[Run]) -> None:
    """README.md, unless someone has written one."""
    if (file := folder / "README.md").exists():
        return
    commands = "\n".join(dict.fromkeys(run.command for run in runs))
    table = shlex.join(["pte", "compare", place(folder)])
    write_atomic(
        file,
        f"# {folder.name}\n\n{claim}\n\nThe runs; `rows.jsonl` says what each was made with:\n\n"
        f"```bash\n{commands}\n```\n\n`{table}` makes the table and a page of the ranks kept here.\n",
    )


def place(folder: Path) -> str:
    """A folder as one types it: from here where it lies below."""
    whole, here = folder.resolve(), Path.cwd()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(folder)


def read(folder: Path, *, ranks: bool = True) -> list[Run]:
    """The runs of an evidence folder; their metrics are computed from the ranks. Where those were not kept, InputError,
    or with ranks=False runs without parts, whose metrics are as they were written down.
    """
    try:
        rows = [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]
        if not (folder / RANKS).is_file():
            if not ranks and all("metrics" in row for row in rows):
                return [Run(folder / f"{ROWS}:{number + 1}", row, {}) for number, row in enumerate(rows)]
            raise InputError(
                f"{folder}: its ranks were not kept, so its table.md is all there is: run {ROWS}'s commands"
            )
        with np.load(folder / RANKS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return [_run(folder, number, row, arrays) for number, row in enumerate(rows)]
    except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder}: {ROWS} and {RANKS} do not fit or cannot be read ({error!r})") from None


def _run(folder: Path, number: int, row: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Run:
    parts: dict[str, Ranked] = {}
    for part in ("valid", "test"):
        case = {name.removeprefix(f"{part}_"): values for name, values in arrays.items() if name.startswith(f"{part}_")}
        rank = {ranking: case.pop(ranking)[number].astype(np.int64) for ranking in RANKINGS if ranking in case}
        if (repeat := case.pop(REPEAT, None)) is not None:
            rank["masked"][repeat] = MISS
        parts[part] = Ranked(case, rank, groups(case))
    return Run(folder / f"{ROWS}:{number + 1}", {**row, "metrics": figures(parts, row["rankings"])}, parts)
