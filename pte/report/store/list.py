"""`pte list`: runs with command and headline figure, and the artefacts of their store with size, age and users."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from pte.report.format import from_here, plain
from pte.report.store import content
from pte.report.store.content import Content, RunFolder

HEADLINE = "test/masked/all/NDCG@10"


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="pte list", description="Runs and the artefacts that they share.")
    root.add_argument(
        "outputs", nargs="?", type=content.outputs_folder, default="outputs", help="paths.outputs (default: outputs)"
    )
    root.add_argument("--store", type=Path, help="the store, where it lies elsewhere (default: OUTPUTS/store)")
    return root


def main(arguments: Sequence[str]) -> None:
    """Print it."""
    options = parser().parse_args(arguments)
    for line in lines(Content(content.store_of(options.outputs, options.store), options.outputs)):
        print(line)


def lines(outputs: Content) -> Iterator[str]:
    """A line per run, oldest first; then a line per artefact, by stage."""
    yield f"{len(outputs.runs)} runs (NDCG@10: test part, all cases, items of the history left out)"
    yield f"{'NDCG@10':>8} {'age':>7}  folder: command"
    for run in outputs.runs:
        age = content.format_age(content.age_of(run.path))
        yield f"{_figure(run):>8} {age:>7}  {from_here(run.path)}: {_command(run)}"
        if run.report is None and run.error:
            yield f"{'':18}ERROR: {run.error}"
    artefacts = outputs.artefacts()
    yield f"\n{len(artefacts)} artefacts, {content.total(artefacts)}, in {from_here(outputs.store.root)}"
    yield f"{'stage':<13} {'key':<16} {'size':>12} {'age':>7}  used by"
    for one in artefacts:
        age = content.format_age(content.age_of(one.path))
        users = f"{len(one.users)} run{'s' * (len(one.users) > 1)}" if one.users else "no run"
        yield f"{one.stage:<13} {one.key} {content.format_size(one.size):>12} {age:>7}  {users}"
    if waste := [*outputs.incomplete(), *outputs.left_over(), *outputs.unused()]:
        yield f"\n{content.total(waste)} are half-made, left over, or used by no run: `pte clean` shows them"


def _figure(run: RunFolder) -> str:
    if run.report is None:
        return "no end"
    return plain(run.report.get("metrics", {}).get(HEADLINE))


def _command(run: RunFolder) -> str:
    """The overrides that it was typed with."""
    if run.report is not None:
        words = run.report.get("command", [])[3:]
    else:
        try:
            words = yaml.safe_load((run.path / ".hydra" / "overrides.yaml").read_text(encoding="utf-8")) or []
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            return "?"
    return shlex.join(["pte", *map(str, words)])
