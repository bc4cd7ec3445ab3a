"""The figures: times faster as bars, validation against CPU-seconds as curves. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS, THEIRS = "#3b82c4", "#9aa4ae"
LINES = (OURS, "#d9822b", "#3a9d6e")
STYLE = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "savefig.dpi": 150,
    "legend.frameon": False,
}  # fmt: skip


def bars(groups: Mapping[str, Mapping[str, float]], note: str, path: Path) -> None:
    """group -> contender -> cost of the group's first contender over its own."""
    with matplotlib.rc_context(STYLE):
        sizes = [len(group) for group in groups.values()]
        figure, axes = plt.subplots(
            len(groups), figsize=(9, 0.33 * sum(sizes) + 0.75 * len(sizes)), height_ratios=sizes, layout="constrained"
        )
        for ax, (title, group) in zip(axes, groups.items(), strict=True):
            colors = [OURS if name.startswith("ours") else THEIRS for name in group]
            drawn = ax.barh(range(len(group)), list(group.values()), color=colors, height=0.7)
            ax.bar_label(drawn, [f"{value:,.3g}x" for value in group.values()], padding=4, fontsize=9)
            ax.set_yticks(range(len(group)), list(group))
            ax.set_title(f"{title.split(',')[0]}: times cheaper than {next(iter(group))}", loc="left", fontsize=10)
            ax.set_xlim(0, 1.15 * max(group.values()))
            ax.invert_yaxis()
            ax.tick_params(axis="y", length=0)
            ax.set_xticks([])
            ax.spines["bottom"].set_visible(False)
        figure.supxlabel(note, fontsize=8)
        figure.savefig(path)
        plt.close(figure)


def quality_chart(found: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], goal: float, path: Path) -> None:
    """way -> a curve a seed of {"cpu_seconds", "ndcg@10"}."""
    with matplotlib.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
        for color, (name, seeds) in zip(LINES, found.items(), strict=False):
            for number, curve in enumerate(seeds):
                at, value = ([point[key] for point in curve] for key in ("cpu_seconds", "ndcg@10"))
                ax.plot(at, value, "o-", color=color, markersize=3, linewidth=1.4, label=None if number else name)
        ax.axhline(goal, color="black", linewidth=0.6, linestyle=":", label="99 % of the lowest best")
        ax.set_xscale("log")
        ax.set_xlabel("CPU-seconds of training, one thread (log scale)")
        ax.set_ylabel("validation NDCG@10, seen items masked")
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.2, linewidth=0.6)
        ax.legend(loc="lower right", fontsize=9)
        figure.savefig(path)
        plt.close(figure)
