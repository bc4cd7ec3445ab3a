"""Figures of a comparison as SVG that takes its ink from the page around it, so that light and dark both read.

Needs matplotlib (`pip install 'pte[report]'`); the page is made without figures where it is absent.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from pte.report.compare.comparison import Column, Comparison
from pte.report.compare.grid import RANKED, makeup, subject
from pte.report.compare.methods import Method, is_count_model
from pte.report.format import LINES, span
from pte.report.runs import Run

INK = "#010203"  # stands for the page's text colour and is replaced by it
TEXT, NO_TEXT = "#3b82c4", "#d9822b"  # mid tones, readable on white and on near-black
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "pte", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
}  # fmt: skip
EMBEDDED: Any = {"pdf.fonttype": 42, "svg.fonttype": "path"}  # TrueType in PDF, outlines in SVG
FILES: Any = {"png": None, "pdf": {"CreationDate": None}, "svg": {"Date": None}}  # kind -> what not to write: the time
MOST_LETTERS = 32  # of a method's name in a line of a figure
BINS = (0, 1, 5, 10, 20, 50, 100)  # lower edges of the target's training count


@dataclass(frozen=True)
class Drawing:
    """A figure, for the page and for papers."""

    title: str
    name: str
    figure: Figure
    caption: str

    @property
    def svg(self) -> str:
        """An element for the page."""
        with matplotlib.rc_context(STYLE):
            return _svg(self.figure, self.name)

    def save(self, folder: Path) -> list[Path]:
        """NAME.png, NAME.pdf and NAME.svg in a folder, black on white, with every font or its outlines inside."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{self.name}.{kind}" for kind in FILES]
        with matplotlib.rc_context({**STYLE, **EMBEDDED}):
            for file in files:
                self.figure.savefig(file, dpi=300, facecolor="white", metadata=FILES[file.suffix[1:]])
        return files


def drawings(comparison: Comparison, command: str) -> list[Drawing]:
    """All figures the runs have the numbers for."""
    drawings = [estimates(comparison), head_against_tail(comparison), popularity(comparison), curves(comparison)]
    tail = f" {subject(comparison)}; {makeup(comparison)}. Made by: {command}"
    return [replace(d, caption=d.caption + tail) for d in drawings if d is not None]


def estimates(comparison: Comparison) -> Drawing:
    """The first metric of every method on all cases: mean, interval over users, seeds."""
    metric = comparison.metrics[0]
    columns = [Column(ranking, metric, "all") for ranking in comparison.rankings]
    order = sorted(comparison.methods, key=lambda m: comparison.row(columns[0])[m.label].mean)
    with matplotlib.rc_context(STYLE):
        names = [_wrapped(method.label) for method in order]
        row = 0.3 if all("\n" not in name for name in names) else 0.42
        figure = Figure(figsize=(9, 1.1 + row * len(order)), layout="constrained")
        axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for ax, column in zip(axes, columns, strict=True):
            for place, method in enumerate(order):
                _estimate(ax, comparison, method, column, place)
            ax.set_title(comparison.title(column.ranking, metric), loc="left", fontsize=10)
            ax.set_yticks(range(len(order)), names)
            ax.set_ylim(-0.6, len(order) - 0.4)
            ax.tick_params(axis="y", length=0)
            ax.xaxis.set_major_formatter(Unsigned(useOffset=False))
            ax.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        _kinds(figure)
    caption = (
        f"{metric} on all cases. Point: mean over seeds; bar: 95 % bootstrap interval over users; small rings: single"
        " seeds. Intervals of two methods may overlap and the paired test still tell them apart: see the differences."
        f" {_explained(comparison.rankings)}."
    )
    return Drawing(f"{metric} by method", "estimates", figure, caption)


def _wrapped(label: str) -> str:
    """A method's name in lines, so that figures keep most of the width."""
    return "\n".join(textwrap.wrap(label, MOST_LETTERS, break_long_words=False, break_on_hyphens=False))


def _explained(rankings: Sequence[str]) -> str:
    return "; ".join(f"{ranking}: {RANKED[ranking]}" for ranking in rankings)


def _estimate(ax: Axes, comparison: Comparison, method: Method, column: Column, place: int) -> None:
    cell, interval = comparison.row(column)[method.label], comparison.interval(method.label, None, column)
    color = TEXT if method.reads_text else NO_TEXT
    ax.plot([interval.low, interval.high], [place, place], color=color, linewidth=2, alpha=0.55, solid_capstyle="round")
    ax.plot([cell.mean], [place], "o", color=color, markersize=6)
    if len(cell.by_seed) > 1:
        rings = np.full(len(cell.by_seed), place + 0.24)
        ax.plot(cell.by_seed, rings, "o", markersize=3, markerfacecolor="none", markeredgecolor=color)


def head_against_tail(comparison: Comparison) -> Drawing | None:
    """What a method gains on rare targets, and what it gives up on frequent ones."""
    if not {"head_items", "tail_items"} <= set(comparison.groups):
        return None
    ranking, metric = comparison.rankings[0], comparison.metrics[0]
    head, tail = (comparison.row(Column(ranking, metric, group)) for group in ("head_items", "tail_items"))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, max(4.2, 0.8 + 0.2 * len(comparison.methods))), layout="constrained")
        ax, names = figure.subplots(1, 2, width_ratios=(3, 1.5))
        for number, method in enumerate(comparison.methods, 1):
            color = TEXT if method.reads_text else NO_TEXT
            ax.plot(head[method.label].mean, tail[method.label].mean, "o", color=color, markersize=6)
            height = 1 - (number - 0.5) / max(len(comparison.methods), 12)
            names.text(0, height, f"{number}  {method.label}", fontsize=9, va="center", transform=names.transAxes)
        names.set_axis_off()
        ax.set(xlabel="head items", ylabel="tail items")
        ax.margins(0.12)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(Unsigned(useOffset=False))
        ax.grid(color=INK, alpha=0.12, linewidth=0.6)
        _kinds(figure)
        _number(figure, ax, [(head[m.label].mean, tail[m.label].mean) for m in comparison.methods])
    caption = (
        f"{comparison.title(ranking, metric)}, on cases whose target is a head item (most frequent in training) and on"
        f" the rest. Up and right is better; numbers are the rows of the tables. {_explained([ranking])}."
    )
    return Drawing("Head items against tail items", "head-tail", figure, caption)


def _number(figure: Figure, ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    """1, 2, ... beside the points, each in the direction that is farthest from other points and numbers."""
    figure.draw_without_rendering()  # fixes the layout, so that distances on the paper are known
    occupied = ax.transData.transform(points) * 72 / figure.dpi
    angles = np.arange(8) * np.pi / 4 + 0.4
    offsets = np.concatenate([r * np.stack([np.cos(angles), np.sin(angles)], 1) for r in (10, 17)])
    for number, point in enumerate(points, 1):
        center = occupied[number - 1]
        others = np.delete(occupied, number - 1, axis=0)
        room = [min(np.hypot(*(others - center - offset).T), default=99.0) for offset in offsets]
        best = offsets[int(np.argmax(np.minimum(room, 14.0)))]  # the first, nearest, with room enough
        occupied = np.vstack([occupied, center + best])
        line = {"arrowstyle": "-", "linewidth": 0.5, "color": INK, "alpha": 0.5} if np.hypot(*best) > 12 else None
        ax.annotate(
            str(number), point, best, textcoords="offset points", fontsize=8, ha="center", va="center", arrowprops=line
        )


def popularity(comparison: Comparison) -> Drawing | None:
    """The first metric by how often the target occurs in training."""
    count = comparison.ranked.train_count
    if count is None:
        return None
    ranking, metric = comparison.rankings[0], comparison.metrics[0]
    place = np.searchsorted(BINS, count, side="right") - 1
    bins = [b for b in range(len(BINS)) if (place == b).any()]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        ax = figure.subplots()
        for color, method in zip(LINES, highlighted(comparison), strict=False):
            value = comparison.per_case(method.label, ranking, metric)
            ax.plot(
                [value[place == b].mean() for b in bins], "o-", color=color, markersize=4, label=_wrapped(method.label)
            )
        ax.set_xticks(range(len(bins)), [f"{span(BINS, b)}\n{(place == b).sum():,}" for b in bins])
        _frame(figure, ax, "training count of the target, and number of cases", comparison.title(ranking, metric))
    caption = (
        f"{comparison.title(ranking, metric)} by the target's training count. {_explained([ranking])}."
        f"{_left_out(comparison)}"
    )
    return Drawing("By popularity of the target", "popularity", figure, caption)


def curves(comparison: Comparison) -> Drawing | None:
    """The first metric on the validation part while training, one thin line per seed."""
    metric = comparison.metrics[0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        ax = figure.subplots()
        drawn = [
            method.label
            for color, method in zip(LINES, highlighted(comparison), strict=False)
            if sum(_curve(ax, run.curve, metric, color, label) for run, label in _labelled(method))
        ]
        if not drawn:
            return None
        _frame(figure, ax, "epoch", f"{metric}, validation")
    caption = f"{metric} on the validation part after each epoch, one line per seed.{_left_out(comparison)}"
    return Drawing("Learning curves", "curves", figure, caption)


def _labelled(method: Method) -> list[tuple[Run, str]]:
    """The runs of a method, the first with its label for the legend."""
    return [(run, _wrapped(method.label) if place == 0 else "_") for place, run in enumerate(method.runs)]


def _curve(ax: Axes, curve: Mapping[str, np.ndarray], metric: str, color: str, label: str) -> bool:
    names = [name for name in curve if name.endswith(metric) and "train" not in name]
    names.sort(key=lambda name: "unmasked" in name)  # masked first
    if not names:
        return False
    value = curve[names[0]]
    epoch = curve.get("epoch", np.arange(len(value)))
    known = np.isfinite(value)
    ax.plot(epoch[known], value[known], color=color, linewidth=1.3, label=label)
    return bool(known.any())


def highlighted(comparison: Comparison) -> Sequence[Method]:
    """At most as many methods as there are colours: references and the count model first, then the highest."""
    row = comparison.row(Column(comparison.rankings[0], comparison.metrics[0], "all"))
    first = {*comparison.reference.values(), *(m.label for m in comparison.methods if is_count_model(m))}
    order = sorted(comparison.methods, key=lambda m: (m.label not in first, -row[m.label].mean))
    labels = {method.label for method in order[: len(LINES)]}
    return [method for method in comparison.methods if method.label in labels]


def _left_out(comparison: Comparison) -> str:
    missing = len(comparison.methods) - len(highlighted(comparison))
    return (
        f" {len(LINES)} of the rows: references, the count model, the highest; {missing} more are in the tables."
        if missing
        else ""
    )


class Unsigned(ScalarFormatter):
    """.05 for 0.05, as in the tables."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos).replace("0.", ".", 1)


def _kinds(figure: Figure) -> None:
    """The legend of the two colours."""
    marks = [
        matplotlib.lines.Line2D([], [], marker="o", linestyle="", color=color, label=label)
        for color, label in ((TEXT, "reads text"), (NO_TEXT, "no text"))
    ]
    figure.legend(handles=marks, loc="outside upper right", ncols=2, fontsize=9)


def _frame(figure: Figure, ax: Axes, x: str, y: str) -> None:
    """Names of the axes, lines of reference, and the legend beside."""
    ax.set(xlabel=x, ylabel=y)
    ax.yaxis.set_major_formatter(Unsigned(useOffset=False))
    ax.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper", fontsize=9)


def _svg(figure: Figure, name: str) -> str:
    """The figure as an inline element, its ids prefixed so that several can stand on one page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{name}"', text, count=1)
