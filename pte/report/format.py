"""How numbers are written, everywhere the same: .0606, +.0012, [-.0003, +.0027]."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pte.metric.significance import Interval

MISSING = "–"
LINES = ("#3b82c4", "#d9822b", "#3a9d6e", "#cf5656", "#9368b7", "#2a9fb0", "#c9679e", "#8f9a2f")  # colours of figures


def plain(value: float | None) -> str:
    """Four decimals without the leading zero."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.4f}"
    return text[1:] if text.startswith("0.") else text.replace("-0.", "-.")


def delta(value: float) -> str:
    """The same with its sign."""
    return ("+" if value >= 0 else "−") + plain(abs(value))


def interval(value: Interval) -> str:
    return f"[{delta(value.low)}, {delta(value.high)}]"


def p_value(value: float) -> str:
    text = f"{value:.3f}"
    return "<.001" if value < 0.001 else text[1:] if text.startswith("0.") else "1"


def spread(mean: float, sd: float | None) -> str:
    """Mean, and the standard deviation over seeds where there are several."""
    return plain(mean) if sd is None else f"{plain(mean)} ±{plain(sd)}"


def span(edges: Sequence[int], place: int) -> str:
    """A range of whole numbers by their lower edges: "0", "5–9", "500+"."""
    if place + 1 == len(edges):
        return f"{edges[place]}+"
    last = edges[place + 1] - 1
    return str(last) if last == edges[place] else f"{edges[place]}–{last}"


def from_here(path: Path) -> str:
    """A folder as seen from the current one, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def seconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def completions(facts: Mapping[str, Any] | None) -> str:
    """What became of a language model's completions, by the profiles stage's facts; "" where none was requested."""
    if not facts or not facts.get("completions"):
        return ""
    shares = {name: facts[f"{name}_share"] for name in ("unusable", "refused", "cut", "fallback")}
    return (
        f"of {facts['completions']:,} completions {shares['unusable']:.1%} were unusable ({shares['refused']:.1%}"
        f" refused) and {shares['cut']:.1%} cut at the token limit; in {shares['fallback']:.1%} of the candidates an"
        " earlier text or plain facts stand in"
    )
