"""`pte compare RUN RUN ...`: several runs as one table, in the terminal and as md, tex, csv and html."""

from __future__ import annotations

import argparse
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pte.artifact import write_atomic
from pte.report import grid, honesty, methods, page, render, runs
from pte.report.compare import Comparison, parse


def parser() -> argparse.ArgumentParser:
    """The options; each names its default."""
    made = argparse.ArgumentParser(
        prog="pte compare",
        description="Compare finished runs of one data set, protocol and ranking: means over seeds, paired differences,"
        " tests, figures.",
    )
    made.add_argument("run", nargs="+", type=Path, help="run folders, or folders of them (a sweep's)")
    made.add_argument(
        "--out", type=Path, help="where table.* go (default: the first folder named, or beside the first run)"
    )
    made.add_argument(
        "--metrics", nargs="+", default=["NDCG@10", "Hit@10"], metavar="NAME@K", help="default: NDCG@10 Hit@10"
    )
    made.add_argument(
        "--against",
        metavar="METHOD",
        help="hold all against this one: markov, sasrec/id ... (default: id on the same backbone, else the best id)",
    )
    made.add_argument(
        "--where",
        nargs="+",
        default=[],
        metavar="FIELD=NAME",
        help="only these runs, such as dataset=Toys backbone=sasrec,markov",
    )
    made.add_argument("--part", choices=("test", "valid"), default="test", help="which cases (default: test)")
    made.add_argument(
        "--draws", type=int, default=2_000, help="of the bootstrap and of the permutation test (default: 2000)"
    )
    made.add_argument("--evidence", action="store_true", help="keep the command and every report.json beside the table")
    return made  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Read, check, compare, write."""
    asked = parser().parse_args(arguments)
    for metric in asked.metrics:
        parse(metric)
    console = Console()
    command = shlex.join(["pte", "compare", *arguments])
    found = runs.find(asked.run)
    notes = runs.unfinished(asked.run)
    with console.status(f"reading {len(found)} runs"):
        kept = methods.where([runs.read(path) for path in found], asked.where)
        methods.require_one_question(kept)
        rows, repeated = methods.group(kept)
    with console.status(f"testing {len(rows)} methods"):
        comparison = Comparison(rows, metrics=asked.metrics, against=asked.against, part=asked.part, draws=asked.draws)
        grids = grid.grids(comparison)
    first: Path = asked.run[0]
    out = asked.out or (first.resolve().parent if first.resolve() in found else first)
    write(comparison, grids, out, command, notes + repeated)
    if asked.evidence:
        keep_evidence(comparison, out, command)
    render.show(comparison, console)
    _say(comparison, notes + repeated, console)
    console.print(f"[bold]{out}[/]: table.html, table.md, table.tex, table.csv", soft_wrap=True, highlight=False)


def write(comparison: Comparison, grids: Sequence[grid.Grid], out: Path, command: str, notes: Sequence[str]) -> None:
    """table.md, table.tex, table.csv and table.html."""
    write_atomic(out / "table.md", render.markdown(comparison, grids, command, notes))
    write_atomic(out / "table.tex", render.latex(grids, command))
    write_atomic(out / "table.csv", render.table_csv(comparison))
    write_atomic(out / "table.html", page.page(comparison, grids, command, notes))


def keep_evidence(comparison: Comparison, out: Path, command: str) -> None:
    """command.txt and report/<row>-seed<seed>.json: what a committed table needs beside it."""
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*-seed*.json"):  # of a table with other rows
        old.unlink()
    for number, method in enumerate(comparison.methods, 1):
        for run in method.runs:
            shutil.copyfile(run.path / "report.json", folder / f"{number:02d}-seed{run.seed}.json")
    commands = dict.fromkeys(run.command for method in comparison.methods for run in method.runs)
    write_atomic(out / "command.txt", "\n".join([*commands, command]) + "\n")


def _say(comparison: Comparison, notes: Sequence[str], console: Console) -> None:
    console.print(page.finding(comparison), style="bold", highlight=False)
    for heading, said in honesty.sentences(comparison):
        console.print(f"\n{heading}", style="bold")
        for sentence in said:
            console.print(f"  {sentence}", markup=False, highlight=False)
    for note in notes:
        console.print(f"left out: {note}", style="yellow", markup=False)
    console.print()
