"""The interactive figures of a run's page: plotly, drawn in the browser from what the page holds, no request.

Needs plotly (`pip install 'pte[report]'`). Ink and grid take the page's colours by its style sheet; marks are of
mid tones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import takewhile
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from pte.metric.lists import CATEGORY_COLUMNS, category_words
from pte.metric.summary import values
from pte.report.compare.comparison import per_user
from pte.report.format import LINES, span
from pte.report.projection import principal_axes
from pte.report.run.finished import Finished
from pte.report.shell import packed
from pte.schema.embeddings import metadata_vectors

COUNTS = (0, 1, 5, 10, 20, 50, 100, 200, 500)  # lower edges of groups by popularity
LENGTHS = (1, 5, 10, 20, 50, 100, 200, 500)  # by history length
FEW_EPOCHS = 12  # with a tick each; of more plotly chooses, and never between two
HEAT = [[0, "#5a7fd6"], [0.5, "#2fa58c"], [1, "#e3a512"]]  # readable on white and on near-black
LAYOUT = {
    "template": "none", "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "height": 340,
    "margin": {"l": 55, "r": 10, "t": 20, "b": 60}, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    "font": {"size": 12}, "colorway": LINES, "hoverlabel": {"namelength": -1},
}  # fmt: skip


def library() -> str:
    """The element that holds plotly itself; page.js unpacks it once the text is there, and draws figure by figure."""
    return packed("plotly", get_plotlyjs())


def element(figure: go.Figure, identity: str, caption: str) -> str:
    data = str(figure.to_json()).replace("<", "\\u003c")
    return (
        f'<figure><div class="plot" id="{identity}" style="height:{figure.layout.height}px"></div>'
        f'<script type="application/json" id="{identity}-data">{data}</script>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def lines(curve: Mapping[str, np.ndarray], names: Mapping[str, str], identity: str, caption: str) -> str:
    """Columns of a curve by epoch, each under its name on the page; "" where none of them is there."""
    figure = go.Figure(layout=LAYOUT)
    for column, name in names.items():
        if column in curve:
            known = np.isfinite(curve[column])
            x = (curve["epoch"][known] if "epoch" in curve else np.flatnonzero(known)) + 1  # as the terminal counts
            figure.add_scatter(x=x, y=curve[column][known], name=name, mode="lines+markers", marker={"size": 4})
    if not figure.data:
        return ""
    figure.update_layout(showlegend=True)
    few = max(len(trace.x) for trace in figure.data) <= FEW_EPOCHS
    figure.update_xaxes(title="epoch", dtick=1 if few else None)
    figure.update_yaxes(title=common_words(list(names.values())), automargin=True)
    return element(figure, identity, caption)


def common_words(names: Sequence[str]) -> str | None:
    """The words with which all names begin."""
    rows = takewhile(lambda row: len(set(row)) == 1, zip(*(name.split() for name in names), strict=False))
    return " ".join(row[0] for row in rows) or None


def by_bin(done: Finished, measure: np.ndarray, edges: Sequence[int], title: str, identity: str) -> str:
    """NDCG@10 of the test cases by the bin of `measure` (C,) they fall in, with 95 % intervals."""
    place = np.searchsorted(edges, measure, side="right") - 1
    bins = [b for b in range(len(edges)) if (place == b).any()]
    figure, alone = go.Figure(layout=LAYOUT), ""
    for ranking, rank in done.ranked.rank.items():
        if ranking == "sampled":
            continue
        value = values("NDCG", rank, 10)
        units = [per_user(value[place == b], done.ranked.user[place == b])[0] for b in bins]
        error = [1.96 * unit.std(ddof=1) / len(unit) ** 0.5 if len(unit) > 1 else 0 for unit in units]
        alone = " A single user has none." if any(len(unit) < 2 for unit in units) else ""
        names = [f"{span(edges, b)}<br>{(place == b).sum():,}" for b in bins]
        dash = "dot" if figure.data else "solid"  # where both rankings agree, one line would hide the other
        figure.add_scatter(
            x=names, y=(mean := [u.mean() for u in units]), name=ranking, mode="lines+markers", line={"dash": dash},
            error_y={"array": error, "arrayminus": np.minimum(error, mean).tolist(), "thickness": 1},
        )  # fmt: skip
    figure.update_xaxes(title=f"{title}, and number of cases", type="category", automargin=True)
    figure.update_yaxes(title="NDCG@10", rangemode="tozero")
    return element(
        figure, identity, f"NDCG@10 of test cases by {title}; bars: 95 % normal intervals over users.{alone}"
    )


def item_maps(done: Finished) -> list[str]:
    """Items on the first two principal axes of the chosen texts' vectors, and plain metadata on the same axes."""
    assert done.selection is not None
    vectors = done.selection.side("item").astype(np.float64)
    mean, axes, share = principal_axes(vectors)
    caption = f"Vectors of the chosen texts. The two axes hold {share:.0%} of the variance."
    maps = [_map(done, (vectors - mean) @ axes, "map-chosen", caption)]
    plain = metadata_vectors(done.artefact["embeddings"])
    if plain is not None:
        caption = "Vectors of title and metadata, before profiling, on the same two axes."
        maps.insert(0, _map(done, (plain - mean) @ axes, "map-metadata", caption))
    return maps


def _map(done: Finished, place: np.ndarray, identity: str, caption: str) -> str:
    """One point an item, coloured by popularity or, at a choice, by what else is known of it."""
    data, count = done.interactions, done.popularity[1:]
    colors = colorings(data.items.text)
    categories = [[labels[code] for code in codes] for codes, labels in colors.values()]
    words = [
        "<br>".join([escape(shortened(title)), f"in training {times:,}x", *(escape(shortened(one)) for one in known)])
        for title, times, *known in zip(data.items.title[1:], count, *categories, strict=True)
    ]
    ticks = [t for t in (0, 1, 3, 10, 30, 100, 300, 1000, 3000) if t <= max(count.max(), 1)]
    bar = {"title": "count", "tickvals": np.log10(np.add(ticks, 1)).tolist(), "ticktext": [str(t) for t in ticks]}
    heat = np.log10(count + 1).round(3)
    mark = {"size": 5, "color": heat, "colorscale": HEAT, "opacity": 0.85, "colorbar": bar}
    points = go.Scattergl(
        x=place[:, 0].round(4), y=place[:, 1].round(4), mode="markers", text=words, hoverinfo="text", marker=mark
    )
    figure = go.Figure(points, layout={**LAYOUT, "height": 480})
    figure.update_xaxes(showticklabels=False, zeroline=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, showgrid=False, scaleanchor="x")
    if colors:
        warm = {"marker.color": [heat.tolist()], "marker.colorscale": [HEAT], "marker.showscale": [True],
                "marker.cmin": [None], "marker.cmax": [None]}  # fmt: skip
        buttons = [{"label": "by popularity", "method": "update", "args": [warm, {"annotations": []}]}]
        buttons += [_button(name, *coloring) for name, coloring in colors.items()]
        menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "pad": {"t": 0}}
        figure.update_layout(updatemenus=[menu], margin_t=60, margin_r=150)
    legend_text = "what the menu says" if colors else "how often it occurs in training"
    return element(figure, identity, f"{caption} A point is an item, its colour {legend_text}.")


SHADES = (*LINES, "#9a9a9a")  # the last one: everything else


def _button(name: str, codes: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """A choice of the menu: points in the colours of `labels`, which stand at the side in theirs."""
    last = len(SHADES) - 1
    steps = [[edge / len(SHADES), shade] for n, shade in enumerate(SHADES) for edge in (n, n + 1)]
    update = {"marker.color": [np.where(codes == len(labels) - 1, last, codes).tolist()], "marker.colorscale": [steps],
             "marker.cmin": [-0.5], "marker.cmax": [last + 0.5], "marker.showscale": [False]}  # fmt: skip
    shades = [*SHADES[: len(labels) - 1], SHADES[last]]
    legend = [
        {"text": escape(shortened(label)), "font": {"color": shade}, "showarrow": False, "xref": "paper",
         "yref": "paper", "x": 1.02, "y": 1 - 0.06 * row, "xanchor": "left", "yanchor": "top"}
        for row, (label, shade) in enumerate(zip(labels, shades, strict=True))
    ]  # fmt: skip
    return {"label": f"by {name}", "method": "update", "args": [update, {"annotations": legend}]}


def colorings(text: Mapping[str, Sequence[str]]) -> dict[str, tuple[np.ndarray, list[str]]]:
    """By column: each item's class (N,), of items 1..N, and the classes' names, the last one "other".

    A class is the first category listed that is among the most frequent; what most items have tells none of them
    apart, and is no class.
    """
    classes = {}
    for column in (*CATEGORY_COLUMNS, "brand"):
        if not any(text.get(column, ())):
            continue
        listed = [list(dict.fromkeys(words)) for words in category_words(text[column][1:])]
        counts = Counter(word for words in listed for word in words)
        common = [word for word, n in counts.most_common() if n <= len(listed) / 2][: len(LINES)]
        if len(common) < 2:
            continue
        code = {word: number for number, word in enumerate(common)}
        codes = [next((code[word] for word in words if word in code), len(common)) for words in listed]
        classes[column] = np.array(codes), [*common, "other"]
    return classes


def shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
