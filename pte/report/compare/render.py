"""A comparison as text: for the terminal (rich), Markdown, LaTeX (booktabs), and the numbers behind it as tidy CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pte.report import format as fmt
from pte.report.compare import caveats
from pte.report.compare.comparison import ALPHA, Column, Comparison
from pte.report.compare.grid import Grid, Word, makeup, starred, subject
from pte.report.compare.methods import FIELDS

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "<": r"$<$", ">": r"$>$",
    "·": r"$\cdot$", "±": r"$\pm$", "−": r"$-$", "≤": r"$\leq$", "–": "--",
}  # fmt: skip
TEX_SPECIAL = re.compile("|".join(map(re.escape, TEX)))


def show(comparison: Comparison, console: Console) -> None:
    """Print one table per ranking and metric, with as many groups as there is room for; the files hold the rest."""
    label = min(max(len(method.label) for method in comparison.methods), console.width // 2)
    groups = fitting(comparison.groups, (console.width - label - 27) // 6)
    for ranking, metric in comparison.panels:
        columns = [Column(ranking, metric, group) for group in groups]
        table = Table(
            title=escape(comparison.title(ranking, metric)),
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=0,
        )
        table.add_column("method", max_width=label, overflow="fold")
        for heading in ("all", "against", *groups[1:]):
            table.add_column(heading.replace("_", "\n"), justify="right", no_wrap=True)
        cells = [comparison.row(column) for column in columns]
        differences = comparison.differences(columns[0])
        for method in comparison.methods:
            first, *others = (row[method.label] for row in cells)
            words = [Word(method.label), Word(fmt.spread(first.mean, first.sd), first.best)]
            words.append(starred(differences[method.label]) if method.label in differences else Word(""))
            words += [Word(fmt.plain(cell.mean), cell.best) for cell in others]
            table.add_row(*(f"[bold]{escape(word.text)}[/]" if word.bold else escape(word.text) for word in words))
        console.print(table)
    against = "; ".join(dict.fromkeys(comparison.reference.values()))
    line = f"± over seeds; bold: beats every other row; against: minus {against}, * Holm-corrected p ≤ {ALPHA}"
    console.print(f"{subject(comparison)}; {makeup(comparison)}.\n{line}.\n", markup=False, highlight=False)


def fitting(groups: Sequence[str], room: int) -> list[str]:
    """All cases, and the most telling `room` of the other groups, in their order."""
    telling = [group for group in ("tail_items", "head_items", "untied", "tail_users", "head_users") if group in groups]
    return [group for group in groups if group == "all" or group in telling[: max(0, room)]]


def markdown(comparison: Comparison, grids: Sequence[Grid], command: str, notes: Sequence[str]) -> str:
    """table.md."""
    lines = [f"# {subject(comparison)}", "", f"{makeup(comparison)}.", "", f"`{command}`", ""]
    for grid in grids:
        lines += [f"## {grid.title}", "", _row([_md(heading) for heading in grid.header])]
        lines += ["|" + "|".join("---" if i < grid.left else "---:" for i in range(len(grid.header))) + "|"]
        lines += [_row([f"**{_md(word.text)}**" if word.bold else _md(word.text) for word in row]) for row in grid.rows]
        lines += ["", grid.note, ""]
    for heading, sentences in caveats.sentences(comparison):
        lines += [f"## {heading}", "", *(f"- {sentence}" for sentence in sentences), ""]
    if notes:
        lines += ["## Left out", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def _row(words: Sequence[str]) -> str:
    return "| " + " | ".join(words) + " |"


def _md(text: str) -> str:
    return re.sub(r"([|*_])", r"\\\1", text)


def latex(grids: Sequence[Grid], command: str) -> str:
    """table.tex: one booktabs table per grid, to be copied from."""
    parts = [f"% {command}", "% needs \\usepackage{booktabs}"]
    for grid in grids:
        align = "".join("l" if place < grid.left else "r" for place in range(len(grid.header)))
        parts += [
            "",
            r"\begin{table}[t]",
            r"\centering\small",
            rf"\caption{{{tex(grid.title)}. {tex(grid.note)}}}",
            rf"\label{{tab:{grid.name}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(map(tex, grid.header)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_tex_word, row)) + r" \\" for row in grid.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


def tex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return TEX_SPECIAL.sub(lambda match: TEX[match.group()], text)


def _tex_word(word: Word) -> str:
    return rf"\textbf{{{tex(word.text)}}}" if word.bold else tex(word.text)


def table_csv(comparison: Comparison) -> str:
    """table.csv: one line per method, ranking, metric and group, every digit kept, empty where nothing is known."""
    lines = list(_lines(comparison))
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _lines(comparison: Comparison) -> Iterator[dict[str, object]]:
    run = comparison.methods[0].runs[0]
    facts = {"dataset": run.report["card"]["name"], "protocol": run.option("protocol"), "part": comparison.part}
    for ranking, metric in comparison.panels:
        for column in comparison.columns(ranking, metric):
            row, differences = comparison.row(column), comparison.differences(column)
            for method in comparison.methods:
                cell, d = row[method.label], differences.get(method.label)
                yield {
                    **facts, "ranking": ranking, "metric": comparison.name(ranking, metric), "group": column.group,
                    "method": method.label, **{field: method.name(field) for field in FIELDS},
                    "seeds": " ".join(map(str, method.seeds)), "cases": cell.cases, "users": cell.users,
                    "mean": cell.mean, "sd": cell.sd, "best": int(cell.best),
                    "against": d and d.against, "difference": d and d.interval.mean,
                    "low": d and d.interval.low, "high": d and d.interval.high, "p": d and d.p,
                    "p_holm": d and d.p_holm, "detectable": d and d.detectable, "seed_error": d and d.seed_error,
                    "seed_bound": d and d.seed_bound, "verdict": d and d.verdict, "seconds": method.seconds(),
                }  # fmt: skip
