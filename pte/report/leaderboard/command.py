"""`pte leaderboard [FOLDER ...]`: leaderboard.json and leaderboard.html of run folders and committed evidence."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pte.artifact import write_atomic
from pte.report import evidence, runs
from pte.report.compare.comparison import parse
from pte.report.leaderboard import board, page
from pte.report.store.content import Content
from pte.schema import InputError

METRICS = ("NDCG@10", "Hit@10")
MOST, WIDE = 12, 180  # rows of a board in a terminal, and the width at which all columns are


def parser() -> argparse.ArgumentParser:
    """The options; each names its default."""
    root = argparse.ArgumentParser(
        prog="pte leaderboard",
        description="List every method there is a result of, by data set and protocol: seeds, means, intervals,"
        " seconds, parameters. To add rows, keep evidence (`pte compare RUNS --evidence experiments/NAME`).",
    )
    root.add_argument(
        "folder", nargs="*", type=Path, default=[Path("experiments")],
        help="run folders, evidence, a store, or folders of such (default: experiments)",
    )  # fmt: skip
    root.add_argument(
        "--metrics", nargs="+", default=list(METRICS), metavar="NAME@K", help="default: NDCG@10 Hit@10; the first ranks"
    )
    root.add_argument("--out", type=Path, help="where leaderboard.* go (default: the first folder named)")
    return root


def main(arguments: Sequence[str]) -> None:
    """Read, write, print."""
    options = parser().parse_args(arguments)
    for metric in options.metrics:
        parse(metric)
    folders = [at for folder in options.folder for at in below(folder)]
    sources: dict[str, list[Any]] = {}
    places, notes = runs.find(folders)
    for folder in filter(_measures, places):
        source = evidence.place(folder) if evidence.holds(folder) else board.RUNS
        try:
            sources.setdefault(source, []).extend(_measured(run, options.metrics) for run in board.read(folder))
        except InputError as error:
            if folder in {named.resolve() for named in options.folder}:  # below one, damaged ones are left out
                raise
            notes.append(str(error))
    boards, repeated = board.boards(sources, options.metrics)
    if not boards:
        raise InputError("no result to list: " + "; ".join(notes or [f"none below {options.folder[0]}"]))
    notes += repeated
    out = options.out or options.folder[0]
    command = shlex.join(["pte", "leaderboard", *arguments])
    content = {"version": board.VERSION, "command": command, "metrics": options.metrics, "boards": boards}
    write_atomic(out / "leaderboard.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_atomic(out / "leaderboard.html", page.page(boards, options.metrics, command, notes))
    console = Console()
    for each in boards:
        console.print(table(each, options.metrics, console.width))
    for note in notes:
        console.print(f"left out: {note}", style="yellow", markup=False, soft_wrap=True)
    console.print(f"[bold]{out}[/]: leaderboard.json, leaderboard.html", soft_wrap=True, highlight=False)


def below(folder: Path) -> list[Path]:
    """The folder; of a store the folders of the finished runs that used it."""
    if not (folder / "metrics").is_dir() or list(folder.glob("*/report.json")):
        return [folder]
    used = sorted(run.path for run in Content(folder, folder.resolve().parent).runs if run.report)
    if not used:
        raise InputError(f"{folder} is a store, and no finished run beside it used it: give the folder of the runs")
    return used


def _measures(folder: Path) -> bool:
    """Whether a folder holds figures of runs, rather than another program's report."""
    return evidence.holds(folder) or (folder / "ranks.npz").is_file()


def _measured(run: runs.Run, metrics: Sequence[str]) -> runs.Run:
    for metric in metrics:
        if f"{board.PART}/masked/all/{metric}" not in run.metrics:
            known = sorted({name.rpartition("/")[2] for name in run.metrics if "/masked/all/" in name and "@" in name})
            raise InputError(f"--metrics {metric}: {run.path} has no such figure; it has {', '.join(known)}")
    return run


def table(each: Mapping[str, Any], metrics: Sequence[str], width: int) -> Table:
    """The head of one board for the terminal, its highest mean bold, in the columns there is room for."""
    grid = Table(title=escape(page.title(each)), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    header, rows = page.cells(each, metrics)
    figures = range(page.FIRST_FIGURE + 1, page.FIRST_FIGURE + len(each["rows"][0]["figures"]))
    places = [
        place for place, name in enumerate(header) if width >= WIDE or not (place in figures or name in page.LESSER)
    ]
    for place in places:
        word = header[place] in page.WORDS
        grid.add_column(escape(header[place]), justify="left" if word else "right", no_wrap=not word, overflow="fold")
    for number, words in enumerate(rows[:MOST]):
        texts = [escape(word) for word in words]
        if number == 0:
            texts[page.FIRST_FIGURE] = f"[bold]{texts[page.FIRST_FIGURE]}[/]"
        grid.add_row(*(texts[place] for place in places))
    if len(rows) > MOST:
        grid.caption = f"{len(rows) - MOST} more rows are in leaderboard.html"
    return grid
