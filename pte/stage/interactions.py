"""Raw files -> Interactions, once per content: the root of every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pte.schema import Interactions
from pte.schema.context import Context

NAME = "interactions"
VERSION = 2  # 2: events of one second in their order
READS = ("dataset",)
# Where the raw files lie does not matter, only what is in them: their sha256 is in the key through `roots`.
_PLACES = ("data", "source", "source_sha256", "sha256", "interactions", "items", "reviews", "metadata", "businesses")
IDLE = tuple(f"dataset.{knob}" for knob in _PLACES)
PARENTS = ()


class Dataset(Protocol):
    """What a config of the group `dataset` builds."""

    def fingerprint(self) -> dict[str, str]: ...  # sha256 of every raw file, by its role

    def read(self) -> Interactions: ...


def roots(dataset: Dataset) -> dict[str, str]:
    """What the interactions' key is rooted in: the sha256 of the raw files, wherever they lie."""
    return dict(sorted(dataset.fingerprint().items()))


def run(context: Context) -> None:
    """Read the data set, save it, and print its card."""
    interactions = context.build("dataset").read()
    interactions.save(context.out)
    for line in card_lines(interactions.card):
        context.say(line)


def card_lines(card: Mapping[str, Any]) -> list[str]:
    """The data set's card for the terminal: counts first, then every rule that left something out."""
    coverage = ", ".join(f"{name} {share:.1%}" for name, share in card["coverage"].items())
    length, tied = card["length"], card["tied_last_pairs"]
    users = [f"{count:,} of {name}" for name, count in length["histogram"].items() if count]
    order = "times unknown" if tied is None else f"last two at the same time: {tied:.1%} of users"
    lines = [
        f"{card['name']}: {card['users']:,} users, {card['items']:,} items, {card['interactions']:,} interactions"
        f" (density {card['density']:.3%})",
        f"  length {length['min']} to {length['max']}, mean {length['mean']:.1f}, median {length['median']:g};"
        f" {order}; repeated pairs: {card['repeated_pairs']:,}",
        f"  users by length: {', '.join(users)}",
        f"  items with {coverage}",
    ]
    lines += [f"  {what}: {count:,}" for what, count in card["counted"].items() if count]
    if card["cut"]:
        lines.append(f"  CUT: {card['cut']}")
    return [*lines, f"  licence: {card['licence']}"]
