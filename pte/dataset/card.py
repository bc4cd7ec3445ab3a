"""The data set's card: what was read, what was left out and why, and how much text there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pte.schema import Interactions


def card(
    interactions: Interactions, *, titled: float, counted: Mapping[str, int], cut: str | None, source: Mapping[str, Any]
) -> dict[str, Any]:
    """A JSON-able summary. titled: share of items with a title of their own; source: name, licence, sha256."""
    items, rows = interactions.items, len(interactions.user)
    users, num_items = interactions.num_users, interactions.num_items
    length = np.diff(interactions.start)
    filled = {name: sum(map(bool, column)) / num_items for name, column in items.text.items()}
    titles = np.unique(np.array(items.title[1:], dtype=object), return_counts=True)[1]
    pair = interactions.user.astype(np.int64) * (num_items + 1) + interactions.item
    return {
        "name": source["name"],
        "licence": source["licence"],
        "users": users,
        "items": num_items,
        "interactions": rows,
        "density": rows / (users * num_items),
        "length": {
            "min": int(length.min()),
            "max": int(length.max()),
            "mean": round(float(length.mean()), 3),
            "median": float(np.median(length)),
            "histogram": histogram(length),
        },
        "users_below_3": int((length < 3).sum()),
        "coverage": {"title": round(titled, 4), **{name: round(share, 4) for name, share in filled.items()}},
        "items_sharing_a_title": int(titles[titles > 1].sum()),
        "repeated_pairs": rows - len(np.unique(pair)),
        "times_known": round(float((interactions.time >= 0).mean()), 4),
        "tied_last_pairs": tied_last_pairs(interactions),
        "counted": dict(counted),
        "cut": cut,
        "sha256": dict(source["sha256"]),
    }


def histogram(length: np.ndarray) -> dict[str, int]:
    """How many users have 1, 2, 3 to 4, 5 to 8, ... interactions: {"1": 4, "2": 1, "3-4": 7, ...}, empty ranges too."""
    number = np.ceil(np.log2(length[length > 0])).astype(np.int64)  # exact at powers of two
    names = ["1", "2", *(f"{2 ** (n - 1) + 1}-{2**n}" for n in range(2, int(number.max()) + 1))]
    return dict(zip(names, np.bincount(number).tolist(), strict=False))


def tied_last_pairs(interactions: Interactions) -> float | None:
    """Share of the users whose last two times are known that have them equal: their order is a convention.

    None where no times are known.
    """
    start, time = interactions.start, interactions.time
    last = (start[1:] - 1)[np.diff(start) >= 2]
    known = last[(time[last] >= 0) & (time[last - 1] >= 0)]
    return round(float((time[known] == time[known - 1]).mean()), 4) if len(known) else None
