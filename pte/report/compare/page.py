"""table.html: the comparison on one page, which needs no other file and reads in light and in dark."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from pte.report import format as fmt
from pte.report import shell
from pte.report.compare import caveats, pairs, side
from pte.report.compare.comparison import Column, Comparison
from pte.report.compare.grid import Grid, Word, makeup, subject

if TYPE_CHECKING:
    from pte.report.compare.figure import Drawing


def page(comparison: Comparison, grids: Sequence[Grid], command: str, notes: Sequence[str]) -> str:
    """The whole page."""
    title = f"{comparison.methods[0].runs[0].report['card']['name']}: {len(comparison.methods)} methods compared"
    values = [grid for grid in grids if grid.name.endswith("-value")]
    others = [grid for grid in grids if not grid.name.endswith("-value")]
    matrix, lists = pairs.elements(comparison), side.elements(comparison)
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(finding(comparison))}</p>",
        f'<p class="soft">{escape(subject(comparison))}; {escape(makeup(comparison))}.',
        f"<br>Made by <code>{escape(command)}</code></p>",
        "<h2 id='means'>Means</h2>",
        *_tables(values),
        *(["<h2 id='differences'>Differences</h2>"] if others else []),
        *_tables(others),
        *matrix,
        *lists,
        *_figures(comparison, command),
        "<h2 id='limits'>What this table cannot say</h2>",
        *(f"<h3>{escape(heading)}</h3>{_list(sentences)}" for heading, sentences in caveats.sentences(comparison)),
        *([f"<h2 id='left-out'>Left out</h2>{_list(notes)}"] if notes else []),
        "<h2 id='runs'>Runs</h2>",
        _runs(comparison),
    ]
    scripts = ["against.js"] * bool(matrix) + ["side.js"] * bool(lists)
    foot = [f'<script type="module">{shell.script(name)}</script>' for name in scripts]
    return shell.document(title, body, foot=foot)


def finding(comparison: Comparison) -> str:
    """One sentence: what is highest, and whether that means anything."""
    metric = comparison.metrics[0]
    row = comparison.row(Column(comparison.rankings[0], metric, "all"))
    order = sorted(row, key=lambda label: -row[label].mean)
    value = fmt.plain(row[order[0]].mean)
    top = f"{order[0]} has the highest {comparison.title(comparison.rankings[0], metric)}, {value}"
    if len(order) == 1:
        return f"{top}; it is the only method here."
    second = f"{order[1]} ({fmt.plain(row[order[1]].mean)})"
    if row[order[0]].best:
        return f"{top}, and beats every other method in the corrected paired test; next comes {second}."
    return (
        f"{top}, but the corrected paired test and the seeds do not set it apart from all others; next comes {second}."
    )


def _figures(comparison: Comparison, command: str) -> list[str]:
    if importlib.util.find_spec("matplotlib") is None:
        return ["<p class=\"note\">Without figures: matplotlib is not installed (pip install 'pte[report]').</p>"]
    from pte.report.compare.figure import drawings

    return ["<h2 id='figures'>Figures</h2>", *(_figure(drawing) for drawing in drawings(comparison, command))]


def _figure(drawing: Drawing) -> str:
    caption = f"<figcaption>{escape(drawing.caption)}</figcaption>"
    return f"<figure><h3>{escape(drawing.title)}</h3>{drawing.svg}{caption}</figure>"


def _tables(grids: Sequence[Grid]) -> list[str]:
    """The first table, and the others folded away under their titles."""
    first, *others = [_table(grid) for grid in grids] or [""]
    folded = [
        f"<details><summary>{escape(grid.title)}</summary>{text}</details>"
        for grid, text in zip(grids[1:], others, strict=True)
    ]
    return [f"<h3>{escape(grids[0].title)}</h3>\n{first}", *folded] if first else []


def _table(grid: Grid) -> str:
    heads = "".join(_cell("th", Word(heading), place < grid.left) for place, heading in enumerate(grid.header))
    rows = "\n".join(
        "<tr>" + "".join(_cell("td", word, place < grid.left) for place, word in enumerate(row)) + "</tr>"
        for row in grid.rows
    )
    return (
        f'<div class="scroll"><table id="{escape(grid.name)}" data-sortable>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
        f'<p class="note">{escape(grid.note)}</p>'
    )


def _cell(tag: str, word: Word, left: bool) -> str:
    text = f"<strong>{escape(word.text)}</strong>" if word.bold else escape(word.text)
    long = " long" if len(word.text) > shell.LONG else ""
    return f'<{tag} class="word{long}">{text}</{tag}>' if left else f"<{tag}>{text}</{tag}>"


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _runs(comparison: Comparison) -> str:
    """Where every number comes from: command, artefact keys, versions."""
    parts = []
    for method in comparison.methods:
        lines = []
        for run in method.runs:
            keys = ", ".join(f"{stage} {facts['key'][:12]}" for stage, facts in run.report["stages"].items())
            code = f"commit {run.report.get('commit') or 'unknown'}"
            lines.append(
                f"<li>seed {run.seed}: <code>{escape(run.command)}</code><br>"
                f'<span class="soft">{escape(run.place)}; {escape(code)}; {escape(keys)}</span></li>'
            )
        parts.append(f"<details><summary>{escape(method.label)}</summary><ul>{''.join(lines)}</ul></details>")
    return "\n".join(parts)
