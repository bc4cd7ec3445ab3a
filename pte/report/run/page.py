"""report.html: one run on one page that needs no other file: what was run, on what, what came of it, and every text."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pte.artifact import write_atomic
from pte.metric.summary import values
from pte.report import format as fmt
from pte.report import shell
from pte.report.compare.comparison import mean_interval
from pte.report.compare.grid import RANKED
from pte.report.run import single
from pte.report.run.explorer import Explorer
from pte.report.run.finished import Finished
from pte.schema.knob import leaves

METRICS = (("Hit", 10), ("NDCG", 10), ("MRR", 10), ("NDCG", 20))
NO_FIGURES = "<p class=\"note\">Without figures: plotly is not installed (pip install 'pte[report]').</p>"
REWARDS = {"reward_total": "reward", "unseen_policy": "of entities not trained on", "unseen_first": "first candidate"}


def write(folder: Path) -> Path:
    """Make report.html of the finished run in `folder`."""
    done = Finished.read(folder)
    write_atomic(folder / "report.html", page(done))
    return folder / "report.html"


def page(done: Finished) -> str:
    """The whole page."""
    report, drawn = done.run.report, importlib.util.find_spec("plotly") is not None
    options, card = report["options"], report["card"]
    title = f"{options['backbone']} · {options['representation']} on {card['name']}"
    figures = _figures(done) if drawn else [NO_FIGURES]
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(single.headline(report))}</p>',
        *_headline(done),
        *_metrics(done),
        *figures,
        '<h2 id="explorer">Users, items and their texts</h2>',
        *Explorer(done).elements(),
        *_data(card),
        *_run(report),
    ]
    library = []
    if drawn:
        from pte.report.run import chart

        library = [chart.library()]
    explorer = f'<script type="module">{shell.script("explorer.js")}</script>'
    return shell.document(title, body, foot=[*library, explorer])


def _headline(done: Finished) -> list[str]:
    """The figures to quote, large."""
    rank = done.ranked.rank["masked"]
    cards = []
    for name, k in METRICS[:3]:
        mean, _, interval = _interval(done, values(name, rank, k), np.ones(len(rank), bool)).partition(" ")
        label = f"<span>{name}@{k}</span>"
        cards.append(f'<div class="card">{label}<strong>{mean}</strong><span class="soft">{interval}</span></div>')
    return [
        f'<div class="cards">{"".join(cards)}</div>',
        f'<p class="soft">{len(rank):,} test cases, seen items left out. Mean, and its 95 % bootstrap interval over'
        " users.</p>",
    ]


def _interval(done: Finished, value: np.ndarray, member: np.ndarray) -> str:
    """ ".0606 [.0570, .0641]": the mean and its bootstrap interval over users."""
    interval = mean_interval(value[member], done.ranked.user[member], draws=2_000)
    return f"{fmt.plain(interval.mean)} [{fmt.plain(interval.low)}, {fmt.plain(interval.high)}]"


def _run(report: Mapping[str, Any]) -> list[str]:
    """What was run, and how to run it again."""
    stages = [
        [
            name,
            s["key"][:16],
            fmt.seconds(s.get("wall_seconds")),
            f"{s.get('peak_memory_mib') or 0:,.0f}",
            s.get("gpu") or "CPU",
        ]
        for name, s in report["stages"].items()
    ]
    config = json.dumps({**report["config"], "runtime": report.get("runtime")}, indent=1, ensure_ascii=False)
    facts = {
        name: str(report[name])[: 12 if name == "commit" else None]
        for name in ("commit", "host", "python", "torch")
        if report.get(name)
    }
    sentence = ", ".join(f"{name} {value}" for name, value in facts.items())
    return [
        '<h2 id="run">Run</h2>',
        f"<p>Run it again: <code>{escape(' '.join(report['command']))}</code></p>",
        f'<p class="soft">{escape(sentence)}</p>' if sentence else "",
        _facts([[k, str(v)] for k, v in report["options"].items()], ("part", "chosen")),
        shell.table(("stage", "key", "seconds", "MiB at most", "on"), stages, words=2),
        f"<details><summary>Every setting</summary><pre><code>{escape(config)}</code></pre></details>",
    ]


def _data(card: Mapping[str, Any]) -> list[str]:
    """What a reader asks first, and the whole card folded away."""
    length = card.get("length", {})
    shortest, longest, middle = (length.get(name) for name in ("min", "max", "median"))
    rows = [[name, f"{card[name]:,}"] for name in ("users", "items", "interactions") if name in card]
    if None not in (shortest, longest, middle):
        rows.append(["rows of a user", f"{shortest:,} to {longest:,}, half of them have at most {middle:,.0f}"])
    if card.get("dates"):
        rows.append(["dates", " to ".join(map(str, card["dates"]))])
    if card.get("licence"):
        rows.append(["licence", str(card["licence"])])
    return [
        '<h2 id="data">Data</h2>',
        _facts(rows),
        f"<details><summary>Everything counted while reading</summary>{_facts(list(_card(card)))}</details>",
    ]


def _facts(rows: Sequence[Sequence[str]], header: Sequence[str] = ("", "")) -> str:
    """A table of names and values, which wraps on a narrow screen."""
    return f'<div class="facts">{shell.table(header, rows, words=2)}</div>'


def _card(card: Mapping[str, Any]) -> Iterator[list[str]]:
    """The card as rows, nested parts under dotted names."""
    for name, value in leaves(card, lists=True):
        if value not in (None, [], ""):
            number = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else None
            words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            label = name.replace("_", " ").replace(".", ": ", 1)
            yield [label, number or (f"{value:.4g}" if isinstance(value, float) else words)]


def _metrics(done: Finished) -> list[str]:
    """Test figures with intervals by group, and what the lists are like."""
    elements = ['<h2 id="metrics">Metrics</h2>']
    header = ("seen items", "cases", "n", *(f"{name}@{k}" for name, k in METRICS))
    rows = [
        [
            ranking, group.replace("_", " "), f"{member.sum():,}",
            *(_interval(done, values(name, rank, k), member) for name, k in METRICS),
        ]
        for ranking, rank in done.ranked.rank.items() if ranking != "sampled"
        for group, member in done.ranked.group.items() if member.any()
    ]  # fmt: skip
    elements.append(shell.table(header, rows, words=2, identity="groups", sortable=True))
    elements.append(
        f'<p class="note">Test part. Mean with its 95 % bootstrap interval over users. masked: {RANKED["masked"]}; '
        f"unmasked: {RANKED['unmasked']}.</p>"
    )
    for line in (single.beyond(done.run.metrics, "test"), single.among_drawn(done.run.metrics, "test")):
        if line:
            figures = [part.rsplit(" ", 1) for part in line.split(", ")]
            cells = [
                [name, fmt.plain(float(value)) if float(value) < 10 else f"{float(value):,.1f}"]
                for name, value in figures
            ]
            elements.append(shell.table(("figure", "value"), cells))
    return elements


def _figures(done: Finished) -> list[str]:
    """All curves, bins and maps the run has the numbers for."""
    from pte.report.run import chart

    elements: list[str] = []
    training, grpo = done.curve("training"), done.curve("selection")
    if training:
        alone = " of the reader alone, before other experts are added" if "reader" in done.artefact else ""
        valid = {f"valid/{r}/all/NDCG@10": f"NDCG@10 {r}" for r in ("masked", "unmasked")}
        elements += [
            '<h2 id="curves">Learning curves</h2>',
            chart.lines(training, {"train/loss": "training loss"}, "curve-loss", "Training loss by epoch."),
            chart.lines(training, valid, "curve-valid", f"Validation NDCG@10{alone}, by epoch."),
        ]
    if grpo:
        parts = {k: k.removeprefix("reward_") for k in grpo if k.startswith("reward_") and k != "reward_total"}
        elements += [
            '<h2 id="selection">Selection by GRPO</h2>',
            chart.lines(grpo, REWARDS, "grpo-reward", "Mean reward of what the policy draws, by epoch."),
            chart.lines(grpo, parts, "grpo-parts", "Parts of the reward, before they are mixed."),
            chart.lines(
                grpo,
                {"entropy": "entropy", "kl": "KL from the reference"},
                "grpo-entropy",
                "Policy entropy, nats, and KL.",
            ),
            chart.lines(
                grpo, {"effective_rank": "effective rank"}, "grpo-rank", "Effective rank of the chosen vectors."
            ),
        ]
    begin, end = done.history
    elements += [
        '<h2 id="groups-of-cases">Where it is right</h2>',
        chart.by_bin(
            done, done.popularity[done.ranked.target], chart.COUNTS, "training count of the target", "by-popularity"
        ),
        chart.by_bin(done, end - begin, chart.LENGTHS, "history length", "by-length"),
    ]
    if done.selection is not None:
        elements += ['<h2 id="map">Map of item vectors</h2>', *chart.item_maps(done)]
    return elements
