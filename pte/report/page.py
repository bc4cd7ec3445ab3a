"""table.html: the comparison on one page, which needs no other file and reads in light and in dark."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from pte.report import format as fmt
from pte.report import honesty
from pte.report.compare import Column, Comparison
from pte.report.grid import Grid, Word, makeup, subject

if TYPE_CHECKING:
    from pte.report.figure import Drawing

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5d646d; --line: #d9dce1; --paper: #fff; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9aa2ad; --line: #363b43; --paper: #15171a; --band: #1e2126; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 72rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, li { max-width: 60rem; }
.soft, figcaption, .note { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; min-width: 100%;
  white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid var(--line); }
th, td { padding: .3rem .7rem; text-align: right; }
th.word, td.word { text-align: left; }
tbody tr:nth-child(even) { background: var(--band); }
figure { margin: 1.5rem 0 2rem; }
svg { max-width: 60rem; width: 100%; height: auto; color: var(--ink); }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; white-space: normal; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
"""
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title><style>STYLE</style></head>
<body>
"""


def page(comparison: Comparison, grids: Sequence[Grid], command: str, notes: Sequence[str]) -> str:
    """The whole page."""
    title = f"{comparison.methods[0].runs[0].report['card']['name']}: {len(comparison.methods)} methods compared"
    values = [grid for grid in grids if grid.name.endswith("-value")]
    others = [grid for grid in grids if not grid.name.endswith("-value")]
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(finding(comparison))}</p>",
        f'<p class="soft">{escape(subject(comparison))}; {escape(makeup(comparison))}.',
        f"<br>Made by <code>{escape(command)}</code></p>",
        *_figures(comparison, command),
        "<h2>Means</h2>",
        *(_table(grid) for grid in values),
        *(["<h2>Differences</h2>"] if others else []),
        *(_table(grid) for grid in others),
        "<h2>What this table cannot say</h2>",
        *(f"<h3>{escape(heading)}</h3>{_list(said)}" for heading, said in honesty.sentences(comparison)),
        *([f"<h2>Left out</h2>{_list(notes)}"] if notes else []),
        "<h2>Runs</h2>",
        _runs(comparison),
    ]
    return HEAD.replace("TITLE", escape(title)).replace("STYLE", STYLE) + "\n".join(body) + "\n</body></html>\n"


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
    from pte.report.figure import drawings

    return ["<h2>Figures</h2>", *(_figure(drawing) for drawing in drawings(comparison, command))]


def _figure(drawing: Drawing) -> str:
    caption = f"<figcaption>{escape(drawing.caption)}</figcaption>"
    return f"<figure><h3>{escape(drawing.title)}</h3>{drawing.svg}{caption}</figure>"


def _table(grid: Grid) -> str:
    heads = "".join(_cell("th", Word(heading), place < grid.left) for place, heading in enumerate(grid.header))
    rows = "\n".join(
        "<tr>" + "".join(_cell("td", word, place < grid.left) for place, word in enumerate(row)) + "</tr>"
        for row in grid.rows
    )
    return (
        f'<h3 id="{escape(grid.name)}">{escape(grid.title)}</h3>\n<div class="scroll"><table>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
        f'<p class="note">{escape(grid.note)}</p>'
    )


def _cell(tag: str, word: Word, left: bool) -> str:
    text = f"<strong>{escape(word.text)}</strong>" if word.bold else escape(word.text)
    return f'<{tag} class="word">{text}</{tag}>' if left else f"<{tag}>{text}</{tag}>"


def _list(said: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in said) + "</ul>"


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
