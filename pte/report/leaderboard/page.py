"""leaderboard.html: a board per question, in the looks of every page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pte.report import format as fmt
from pte.report import shell

WORDS = ("#", "method", "source")  # columns whose cells a narrow terminal breaks
FIRST_FIGURE = 2  # the column that ranks
LESSER = ("texts", "parameters")  # columns a narrow terminal does without, as it does without all figures but one


def page(boards: Sequence[Mapping[str, Any]], metrics: Sequence[str], command: str, notes: Sequence[str]) -> str:
    """The whole page."""
    rows = sum(len(board["rows"]) for board in boards)
    body = [
        "<h1>Leaderboard</h1>",
        f"<p>{rows} methods on {len(boards)} boards. A board is one question: data set, protocol, held-out cases; full"
        f" ranking over the catalogue, best {escape(metrics[0])} with seen items masked first.</p>",
        f'<p class="soft">Made by <code>{escape(command)}</code>; the same rows are in leaderboard.json.</p>',
        *(
            _board(number, board, name, metrics)
            for number, (board, name) in enumerate(zip(boards, headings(boards), strict=True))
        ),
        "<h2 id='reading'>How to read it</h2>",
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in READING)}</ul>",
        *([f"<h2 id='left-out'>Left out</h2><ul>{''.join(f'<li>{escape(n)}</li>' for n in notes)}</ul>"] * bool(notes)),
    ]
    return shell.document("Leaderboard", body)


READING = (
    "Brackets: 95 % interval of the mean, over users (bootstrap) where ranks are kept, else over seeds (Student's t,"
    " marked s); none where one seed is all there is.",
    "Neighbours whose intervals overlap are not told apart here: pte compare FOLDER tests them, paired.",
    "Rows of different sources come from different commits and are never averaged.",
    "Seconds are those of all stages, from raw files to metrics, on the hardware named; parameters are the trained"
    " ones; a dash stands for what was not recorded.",
)


def title(board: Mapping[str, Any]) -> str:
    """ "Toys, leave_one_out: 19,412 cases" """
    return f"{board['dataset']['name']}, {board['protocol']['name']}: {board['cases']:,} cases"


def headings(boards: Sequence[Mapping[str, Any]]) -> list[str]:
    """ "Toys, cold_start" and, where several boards would be called so, the knobs in which they differ."""
    names = [f"{board['dataset']['name']}, {board['protocol']['name']}" for board in boards]
    knobs = [{k: str(v) for k, v in board["protocol"]["knobs"].items()} for board in boards]
    titles = []
    for name, own in zip(names, knobs, strict=True):
        others = [other for other_name, other in zip(names, knobs, strict=True) if other_name == name]
        apart = [f"{k} {v}" for k, v in own.items() if any(other.get(k) != v for other in others)]
        titles.append(f"{name} ({', '.join(apart)})" if apart else name)
    return titles


def cells(board: Mapping[str, Any], metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of one board, as words."""
    names = list(board["rows"][0]["figures"])
    header = ["#", "method", *(name.replace("/", " ") for name in names)]
    header += ["seeds", "seconds", "parameters", "texts", "source"]
    rows = []
    for place, row in enumerate(board["rows"], 1):
        texts = "/".join(row[field] for field in ("profiler", "encoder") if row[field])
        rows.append(
            [
                str(place), row["method"],
                *(figure(row["figures"][name]) for name in names), str(len(row["seeds"])), fmt.seconds(row["seconds"]),
                fmt.MISSING if row["parameters"] is None else f"{row['parameters']:,}", texts or fmt.MISSING,
                Path(row["source"]).name,
            ]
        )  # fmt: skip
    return header, rows


def figure(value: Mapping[str, Any]) -> str:
    """ ".0848 [.0829, .0867]" """
    if value["interval"] is None:
        return fmt.plain(value["mean"])
    mark = " s" if value["interval"] == "seeds" else ""
    return f"{fmt.plain(value['mean'])} [{fmt.plain(value['low'])}, {fmt.plain(value['high'])}]{mark}"


def _board(number: int, board: Mapping[str, Any], name: str, metrics: Sequence[str]) -> str:
    header, rows = cells(board, metrics)
    card, protocol = board["dataset"], board["protocol"]
    knobs = ", ".join(f"{knob} {value}" for knob, value in protocol["knobs"].items())
    anchor = re.sub(r"\W+", "-", f"{card['name']}-{protocol['name']}-{number}").lower()
    return (
        f'<h2 id="{anchor}">{escape(name)}</h2>\n'
        f'<p class="note">{card["users"]:,} users, {card["items"]:,} items, {card["interactions"]:,} interactions;'
        f" {board['cases']:,} cases of the {board['part']} part; {escape(knobs)}.</p>\n"
        + shell.table(header, rows, words=FIRST_FIGURE, identity=f"board-{number}", sortable=True)
    )
