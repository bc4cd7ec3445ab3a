"""The data set's card: what was read, what was left out and why, and how much text there is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pte.schema import Interactions

EARLY, LATE = "1985", "2100"  # no log of a recommender ends before the one or after the other
LAST_SECOND = 253_402_300_800  # 9999-12-31
ROW_LOSSES = (
    "malformed rows", "malformed review lines", "exact duplicate rows", "rows ", "reviews outside",
    "repeats of one user",
)  # fmt: skip


def card(
    interactions: Interactions,
    *,
    titled_share: float,
    counts: Mapping[str, int],
    cut: str | None,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """A JSON-able summary. titled_share: share of items with a title of their own; source: name, licence, sha256.

    source may hold rows_in_file (before any rule) and omitted (columns that are no item text, and why).
    """
    items, rows = interactions.items, len(interactions.user)
    users, num_items = interactions.num_users, interactions.num_items
    length = np.diff(interactions.start)
    filled = {name: sum(map(bool, column)) / num_items for name, column in items.text.items()}
    titles = np.unique(np.array(items.title[1:], dtype=object), return_counts=True)[1]
    omitted: Mapping[str, str] = source.get("omitted", {})
    pair = interactions.user.astype(np.int64) * (num_items + 1) + interactions.item
    distinct = len(np.unique(pair))
    return {
        "name": source["name"],
        "licence": source["licence"],
        "users": users,
        "items": num_items,
        "interactions": rows,
        "rows_in_file": source.get("rows_in_file", rows),
        "density": distinct / (users * num_items),  # of pairs: a pair met again fills no further cell
        "length": {
            "min": int(length.min()),
            "max": int(length.max()),
            "mean": round(float(length.mean()), 3),
            "median": float(np.median(length)),
            "histogram": histogram(length),
        },
        "users_below_3": int((length < 3).sum()),
        "coverage": {"title": round(titled_share, 4), **{name: round(share, 4) for name, share in filled.items()}},
        "items_sharing_a_title": int(titles[titles > 1].sum()),
        "repeated_pairs": rows - distinct,
        "times_known": round(float((interactions.time >= 0).mean()), 4),
        "dates": date_range(interactions.time),
        "tied_last_pairs": tied_last_pairs(interactions),
        "text": {"taken": list(filled), "left_out": dict(omitted)},
        "counted": dict(counts),
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
    timed = last[(time[last] >= 0) & (time[last - 1] >= 0)]
    return round(float((time[timed] == time[timed - 1]).mean()), 4) if len(timed) else None


def date_range(time: np.ndarray) -> list[str] | None:
    """First and last day of (M,) Unix seconds, ["2001-09-09", "2014-07-23"]; None where no time is known."""
    timed = time[time >= 0]
    return [day(int(timed.min())), day(int(timed.max()))] if len(timed) else None


def day(second: int) -> str:
    """The day of a Unix second in UTC; a number too large for a date is shown as it is."""
    return datetime.fromtimestamp(second, UTC).date().isoformat() if second < LAST_SECOND else f"second {second:,}"


def row_losses(counts: Mapping[str, int]) -> int:
    """Rows that the counts of a card say were left out; the other counts are of items, users or mended values."""
    return sum(count for rule, count in counts.items() if rule.startswith(ROW_LOSSES))


def card_lines(card: Mapping[str, Any]) -> list[str]:
    """The data set's card for the terminal: counts first, then every rule that left something out."""
    coverage = ", ".join(f"{name} {share:.1%}" for name, share in card["coverage"].items())
    length = card["length"]
    users = [f"{count:,} of {name}" for name, count in length["histogram"].items() if count]
    lines = [
        f"{card['name']}: {card['users']:,} users, {card['items']:,} items, {card['interactions']:,} interactions"
        f" (density {card['density']:.3%})",
        f"  length {length['min']} to {length['max']}, mean {length['mean']:.1f}, median {length['median']:g};"
        f" {_order(card)}; repeated pairs: {card['repeated_pairs']:,}",
        f"  users by length: {', '.join(users)}",
        f"  items with {coverage}",
    ]
    if card["dates"]:
        lines.append(f"  dates {card['dates'][0]} to {card['dates'][1]}{_doubt(card)}")
    if card["text"]["left_out"]:
        columns = ", ".join(f"{name!r} ({reason})" for name, reason in card["text"]["left_out"].items())
        lines.append(f"  columns not taken as item text: {columns}; take one: dataset.text=[COLUMN,...]")
    lines += [f"  {rule}: {count:,}" for rule, count in card["counted"].items() if count]
    if card["cut"]:
        lines.append(f"  CUT: {card['cut']}")
    return [*lines, f"  licence: {card['licence']}"]


def _order(card: Mapping[str, Any]) -> str:
    """What is known of the order within a user."""
    tied = card["tied_last_pairs"]
    if tied is not None:
        return f"last two at the same time: {tied:.1%} of users"
    if not card["times_known"]:
        return "times unknown"
    timed = "times known" if card["times_known"] == 1 else f"times of {card['times_known']:.1%} of rows known"
    return f"{timed}, no user with two in a row"


def _doubt(card: Mapping[str, Any]) -> str:
    """A hint where the dates are none that a recommender's data have: numbers read in another way than meant."""
    last = card["dates"][1]
    if EARLY <= last < LATE:
        return ""
    return (
        ": if that is not when it happened, say how times are written: dataset.time_format=%Y%m%d (or seconds,"
        " milliseconds, ...), or that they are places in an order: dataset.timestamp=null dataset.position=COLUMN"
    )
