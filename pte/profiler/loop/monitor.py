"""Figures by round that show whether a closed loop adds anything, or only makes texts alike.

Texts stand as vectors of hashed word counts, so that no encoder is needed: v[h(w)] = 1 + log n(w), at unit length.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from pte.metric.collapse import effective_rank, pairwise_cosine
from pte.profiler.text.fault import words
from pte.schema import Generation, Profiles

WIDTH = 1024
MOST = 2048  # entities that the figures are of, spread evenly


def hashed(texts: Sequence[str]) -> np.ndarray:
    """(n, WIDTH) float32 unit vectors; a row of zeros for a text without words."""
    table = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in zip(table, texts, strict=True):
        for word, count in Counter(words(text)).items():
            row[zlib.crc32(word.encode()) % WIDTH] += 1 + np.log(count)
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return table


def spread(size: int) -> list[int]:
    """At most MOST places of so many, evenly."""
    return np.linspace(0, size - 1, min(MOST, size), dtype=int).tolist() if size else []


def change(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Mean of 1 - cos over the entities that have a text both times; None where none has."""
    pairs = [pair for i in spread(len(before)) if all(pair := (before[i], after[i]))]
    if not pairs:
        return None
    a, b = (hashed([pair[side] for pair in pairs]) for side in (0, 1))
    return float(1 - np.einsum("nd,nd->n", a, b).mean())


def rounds(profiles: Profiles) -> list[dict[str, float | str | None]]:
    """One row for each side of each round that was requested, first candidates alone: how many texts, what share of
    them could be used, how long they are, how alike different entities are, and how far they moved since the round
    before."""
    count: Counter[tuple[int, str]] = Counter()
    parsed: Counter[tuple[int, str]] = Counter()
    for g in _first(profiles):
        count[g.round, g.side] += 1
        parsed[g.round, g.side] += g.parsed
    sample = {leg: set(spread(size)) for leg, size in count.items()}
    some: dict[tuple[int, str], dict[int, str]] = {leg: {} for leg in count}
    place: Counter[tuple[int, str]] = Counter()
    for g in _first(profiles):
        leg = g.round, g.side
        if place[leg] in sample[leg]:
            some[leg][g.entity] = g.text
        place[leg] += 1
    rows: list[dict[str, float | str | None]] = []
    last: dict[str, dict[int, str]] = {}
    for (number, side), texts in sorted(some.items()):
        vectors = hashed(list(texts.values()))
        vectors = vectors[vectors.any(axis=1)]
        both = sorted(texts.keys() & last.get(side, {}).keys())
        rows.append(
            {
                "round": number,
                "side": side,
                "texts": count[number, side],
                "usable_share": parsed[number, side] / count[number, side],
                "words": float(np.mean([len(words(text)) for text in texts.values()])),
                "pairwise_cosine": pairwise_cosine(vectors) if len(vectors) > 1 else None,
                "effective_rank": effective_rank(vectors) if len(vectors) else None,
                "change": change([last[side][e] for e in both], [texts[e] for e in both]) if both else None,
            }
        )
        last[side] = texts
    return rows


def _first(profiles: Profiles) -> Iterator[Generation]:
    return (g for g in profiles.generations if g.prompt and g.candidate == 0)
