"""`pte compare RUN RUN ...`: several runs as one table, in the terminal and as md, tex, csv and html.

Runs are read from their folders or from evidence, where their ranks are kept.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pte.artifact import digest, write_atomic
from pte.report import evidence, runs
from pte.report.compare import caveats, grid, methods, page, pool, render
from pte.report.compare.comparison import Comparison, parse
from pte.schema import InputError


def parser() -> argparse.ArgumentParser:
    """The options; each names its default."""
    root = argparse.ArgumentParser(
        prog="pte compare",
        description="Compare finished runs of one data set, protocol and ranking: means over seeds, paired differences,"
        " tests, figures.",
    )
    root.add_argument("run", nargs="+", type=Path, help="run folders, or folders of them (a sweep's)")
    root.add_argument(
        "--out", type=Path, help="where table.* go (default: the folder named; of several a folder of their own beside)"
    )
    root.add_argument(
        "--metrics", nargs="+", default=["NDCG@10", "Hit@10"], metavar="NAME@K", help="default: NDCG@10 Hit@10"
    )
    root.add_argument(
        "--against", metavar="METHOD",
        help="the reference: markov, sasrec/id ... (default: id on the same backbone, else the best id)",
    )  # fmt: skip
    root.add_argument(
        "--where", nargs="+", default=[], metavar="FIELD=NAME",
        help="only these runs, such as dataset=Toys backbone=sasrec,markov",
    )  # fmt: skip
    root.add_argument("--part", choices=("test", "valid"), default="test", help="which cases (default: test)")
    root.add_argument(
        "--draws", type=int, default=2_000, help="of the bootstrap and of the permutation test (default: 2000)"
    )
    root.add_argument(
        "--figures", type=Path, metavar="DIR", help="the figures for papers: PNG, PDF and SVG with fonts inside, in DIR"
    )
    root.add_argument(
        "--evidence", type=Path, metavar="DIR",
        help="keep what the table is computed from in DIR: rows.jsonl, ranks.npz, table.md (clean commits only)",
    )  # fmt: skip
    return root


def main(arguments: Sequence[str], commit: str | None = None) -> None:
    """Read, check, compare, write. commit: of this code, which evidence needs."""
    options = parser().parse_args(arguments)
    for metric in options.metrics:
        parse(metric)
    console = Console()
    command = shlex.join(["pte", "compare", *arguments])
    paths, notes = runs.find(options.run)
    notes += runs.unfinished(options.run)
    with console.status(f"reading {len(paths)} runs"):
        comparison, left_out = compared(paths, options)
    notes += left_out
    if options.evidence:
        keep(comparison, options, commit)
        return
    grids = grid.grids(comparison)
    out = options.out or place(options)
    write(comparison, grids, out, command, notes)
    if options.figures:
        save_figures(comparison, options.figures, command)
        console.print(f"[bold]{options.figures}[/]: figures as png, pdf and svg", soft_wrap=True, highlight=False)
    render.show(comparison, console)
    _log(comparison, notes, console)
    console.print(f"[bold]{out}[/]: table.html, table.md, table.tex, table.csv", soft_wrap=True, highlight=False)


def place(options: argparse.Namespace) -> Path:
    """Where a table goes, one place for each set of cases: into the one folder named; of several folders, or of a part
    of one, into compare/HASH beside the first.
    """
    named = sorted({str(path.resolve()) for path in options.run})
    narrowed = [*sorted(options.where), *([] if options.part == "test" else [options.part])]
    first: Path = options.run[0].resolve()
    if len(named) == 1 and not narrowed:
        return first
    beside = first if len(named) == 1 else first.parent
    return beside / "compare" / digest([named, narrowed])[:8]


def compared(paths: Sequence[Path], options: argparse.Namespace) -> tuple[Comparison, list[str]]:
    """The comparison of the runs in these folders, and notes on runs that cannot be read or were counted once.

    A run that was named has to be sound; one that lies below a folder that was named is left out where it is not.
    """
    named, known, notes = {path.resolve() for path in options.run}, [], []
    for path in paths:
        try:
            known += evidence.read(path) if evidence.holds(path) else [runs.read(path)]
        except InputError as error:
            if path in named:
                raise
            notes.append(str(error))
    if not known:
        raise InputError(f"none of these runs can be compared: {notes[0]}")
    selection = methods.where(known, options.where)
    selection, twice = pool.pool_draws(selection)
    methods.require_one_question(selection)
    rows, repeated = methods.group(selection)
    comparison = Comparison(
        rows, metrics=options.metrics, against=options.against, part=options.part, draws=options.draws
    )
    return comparison, notes + twice + repeated


def keep(comparison: Comparison, arguments: argparse.Namespace, commit: str | None) -> None:
    """An evidence folder: rows and ranks, read back, and the table made of what was read."""
    folder: Path = arguments.evidence
    for metric in arguments.metrics:
        if parse(metric)[1] > evidence.CLIP:
            raise InputError(f"--metrics {metric}: evidence keeps ranks up to {evidence.CLIP}, so no cut-off beyond it")
    selection = [run for method in comparison.methods for run in method.runs]
    evidence.require_clean(selection, commit)
    evidence.write(folder, selection)
    options = ["--metrics", *arguments.metrics, f"--part={arguments.part}", f"--draws={arguments.draws}"]
    options += [f"--against={arguments.against}"] if arguments.against else []
    text, claim = table(folder, arguments, shlex.join(["pte", "compare", evidence.place(folder), *options]))
    write_atomic(folder / "table.md", text)
    evidence.write_readme(folder, claim, selection)
    Console().print(f"[bold]{folder}[/]: rows.jsonl, ranks.npz, table.md, README.md", soft_wrap=True, highlight=False)


def table(folder: Path, options: argparse.Namespace, command: str) -> tuple[str, str]:
    """table.md of an evidence folder, and its finding in a sentence."""
    comparison, notes = compared([folder], options)
    return render.markdown(comparison, grid.grids(comparison), command, notes), page.finding(comparison)


def write(comparison: Comparison, grids: Sequence[grid.Grid], out: Path, command: str, notes: Sequence[str]) -> None:
    """table.md, table.tex, table.csv and table.html."""
    write_atomic(out / "table.md", render.markdown(comparison, grids, command, notes))
    write_atomic(out / "table.tex", render.latex(grids, command))
    write_atomic(out / "table.csv", render.table_csv(comparison))
    write_atomic(out / "table.html", page.page(comparison, grids, command, notes))


def save_figures(comparison: Comparison, folder: Path, command: str) -> None:
    """Every figure of the page in files of its own."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("--figures needs matplotlib: pip install 'pte[report]'")
    from pte.report.compare.figure import drawings

    for drawing in drawings(comparison, command):
        drawing.save(folder)


def _log(comparison: Comparison, notes: Sequence[str], console: Console) -> None:
    console.print(page.finding(comparison), style="bold", highlight=False)
    for heading, sentences in caveats.sentences(comparison):
        console.print(f"\n{heading}", style="bold")
        for sentence in sentences:
            console.print(f"  {sentence}", markup=False, highlight=False)
    for note in notes:
        console.print(f"left out: {note}", style="yellow", markup=False)
    console.print()
