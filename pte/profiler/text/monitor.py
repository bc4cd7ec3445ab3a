"""Figures by round that show whether a closed loop adds anything, or only makes texts alike.

Texts stand as vectors of hashed word counts, so that no encoder is needed: v[h(w)] = 1 + log n(w), at unit length.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence

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
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)


def change(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Mean of 1 - cos over the entities that have a text both times; None where none has."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a and b]
    if not pairs:
        return None
    pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(MOST, len(pairs)), dtype=int)]
    a, b = (hashed([pair[side] for pair in pairs]) for side in (0, 1))
    return float(1 - np.einsum("nd,nd->n", a, b).mean())


def rounds(profiles: Profiles) -> list[dict[str, float | str | None]]:
    """One row for each side of each round that was asked for, first candidates alone: how many texts, what share of
    them could be used, how long they are, how alike different entities are, and how far they moved since the round
    before."""
    first: dict[tuple[int, str], dict[int, Generation]] = {}
    for g in profiles.generations:
        if g.prompt and g.candidate == 0:
            first.setdefault((g.round, g.side), {})[g.entity] = g
    rows: list[dict[str, float | str | None]] = []
    last: dict[str, dict[int, Generation]] = {}
    for (number, side), generations in sorted(first.items()):
        some = list(generations.values())
        some = [some[i] for i in np.linspace(0, len(some) - 1, min(MOST, len(some)), dtype=int)]
        vectors = hashed([g.text for g in some])
        vectors = vectors[vectors.any(axis=1)]
        before = last.get(side, {})
        both = [g for g in some if g.entity in before]
        rows.append(
            {
                "round": number,
                "side": side,
                "texts": len(generations),
                "usable_share": float(np.mean([g.parsed for g in generations.values()])),
                "words": float(np.mean([len(words(g.text)) for g in some])),
                "pairwise_cosine": pairwise_cosine(vectors) if len(vectors) > 1 else None,
                "effective_rank": effective_rank(vectors) if len(vectors) else None,
                "change": change([before[g.entity].text for g in both], [g.text for g in both]),
            }
        )
        last[side] = generations
    return rows
