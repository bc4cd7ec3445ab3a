"""`pte show RUN user 42`, `pte show RUN item "Gloom"`: what a run knows of one entity and how its profile came about.

History with what each row was for, collaborative neighbours (who shares most visible rows), the texts from round to
round, the last candidates with their rewards, the one taken, and the entities whose vectors are nearest.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from textwrap import indent

import numpy as np

from pte.artifact import Stored
from pte.report.inspect.export import before_refit
from pte.schema import FIRST, Interactions, Profiles, Selection, Split

LISTED = 10


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="pte show", description="Show one user or item of a run.")
    root.add_argument("run", type=Path, help="a run folder")
    root.add_argument("side", choices=("user", "item"))
    root.add_argument("entity", help="the id in your data; of an item also its title or a part of it")
    root.add_argument("--prompts", action="store_true", help="the prompt of every candidate as well")
    return root


def main(arguments: Sequence[str]) -> None:
    """Print it."""
    options = parser().parse_args(arguments)
    for line in lines(Stored(options.run), options.side, options.entity, prompts=options.prompts):
        print("".join(c if c.isprintable() or c == "\n" else " " for c in line))  # an item's text commands no terminal


def lines(stored: Stored, side: str, name: str, *, prompts: bool = False) -> Iterator[str]:
    """Everything the run has on the entity; what it does not have is left out."""
    facts = Facts(Interactions.load(stored.path("interactions")), Split.load(stored.path("split")))
    entity = facts.data.find_user(name) if side == "user" else facts.data.items.find(name)
    yield f"{side} {facts.name(side, entity)}"
    yield from facts.history(side, entity)
    yield from facts.neighbors(side, entity)
    if not stored.has("profiles"):
        yield "\nno profiles: this run's models read no text, or it stopped before"
        return
    profiles = Profiles.load(stored.path("profiles"))
    selection = before_refit(stored)
    rewards: Mapping[str, np.ndarray] = {}
    if selection is not None:
        with np.load(stored.path("selection") / "reward.npz", allow_pickle=False) as file:
            rewards = {name: file[name][selection.entities.row(side, entity)] for name in file.files}
    choice = None if selection is None else int(selection.choice[selection.entities.row(side, entity)])
    yield from texts(profiles, side, entity, rewards, choice, prompts)
    if side == "item" and stored.has("refit"):
        yield "\nfinal texts, written anew from all training rows after the choice:"
        yield from (indent(text, "  ") for text in Profiles.load(stored.path("refit")).item[entity])
    if selection is not None:
        final = Selection.load(stored.path("refit")) if stored.has("refit") else selection
        yield from facts.nearest(side, entity, final.side(side))


def texts(
    profiles: Profiles, side: str, entity: int, rewards: Mapping[str, np.ndarray], choice: int | None, prompts: bool
) -> Iterator[str]:
    """Generations by round; the last round's with rewards."""
    generations = sorted(
        (g for g in profiles.generations if (g.side, g.entity) == (side, entity)), key=lambda g: (g.round, g.candidate)
    )
    last = max((g.round for g in generations), default=0)
    parts = [name for name in rewards if f"{name}_known" in rewards]
    for g in generations:
        heading = f"\ncandidate {g.candidate}" if g.round == last else f"\nround {g.round}"
        mark = "  TAKEN" if g.round == last and g.candidate == choice else ""
        fallback = "" if g.parsed else ", a fallback stands in"
        yield f"{heading} ({g.form}, temperature {g.temperature:g}{fallback}){mark}"
        if g.round == last and parts:
            yield "  reward " + ", ".join(
                f"{name} {float(rewards[name][g.candidate]):+.3f}" + ("" if rewards[f"{name}_known"] else " (unknown)")
                for name in parts
            )
        if prompts and g.prompt:
            yield indent(g.prompt, "  | ", lambda line: True)
        yield indent(g.text, "  ")
    if choice == -1 and profiles.num_candidates > 1:
        yield "\nno single candidate is taken: the selector mixes or exchanges them"


class Facts:
    """Interactions as one looks at them: titles, rows by purpose, neighbours."""

    def __init__(self, interactions: Interactions, split: Split) -> None:
        self.data, self.split = interactions, split

    def name(self, side: str, entity: int) -> str:
        if side == "user":
            return self.data.user_id[entity]
        return f"{self.data.items.item_id[entity]} {self.data.items.title[entity]!r}"

    @cached_property
    def purpose(self) -> np.ndarray:
        """(M,) what each row was for."""
        kind = np.where(self.split.visible, "shown", np.where(self.split.train, "withheld", "set aside")).astype("<U9")
        kind[self.split.valid.target], kind[self.split.test.target] = "valid", "test"
        return kind

    def history(self, side: str, entity: int) -> Iterator[str]:
        """A user's latest rows, oldest first; of an item how many rows it has."""
        rows = np.flatnonzero((self.data.user if side == "user" else self.data.item) == entity)
        kinds, counts = np.unique(self.purpose[rows], return_counts=True)
        yield f"{len(rows):,} interactions: " + ", ".join(f"{n:,} {k}" for k, n in zip(kinds, counts, strict=True))
        if side == "user":
            for row in rows[-2 * LISTED :]:
                yield f"  {self.purpose[row]:<9} {self.name('item', int(self.data.item[row]))}"

    def neighbors(self, side: str, entity: int) -> Iterator[str]:
        """Who shares most visible rows: items by their users, users by their items."""
        visible = self.split.visible
        user, item = self.data.user[visible].astype(np.int64), self.data.item[visible].astype(np.int64)
        own, other = (user, item) if side == "user" else (item, user)
        shared = np.isin(other, other[own == entity])
        pairs = np.unique(np.stack([own[shared], other[shared]]), axis=1)  # an item chosen twice counts once
        count = np.bincount(pairs[0], minlength=entity + 1)
        count[entity] = 0
        best = [x for x in np.argsort(-count, kind="stable")[:LISTED].tolist() if count[x]]
        if best:
            noun = "items" if side == "user" else "users"
            yield f"\nneighbours by shared {noun}"
            yield from (f"  {count[x]:>4,}  {self.name(side, x)}" for x in best)

    def nearest(self, side: str, entity: int, vector: np.ndarray) -> Iterator[str]:
        """The entities of the same side whose selected vectors have the highest cosine."""
        place = entity - FIRST[side]
        if not vector[place].any():
            yield f"\nno nearest {side}s by text: this {side}'s text was not encoded, or it is blank"
            return
        cosine = vector @ vector[place]
        cosine[place] = -np.inf
        yield f"\nnearest {side}s by text"
        best = np.argsort(-cosine, kind="stable")[:LISTED].tolist()
        yield from (f"  {cosine[x]:.3f}  {self.name(side, x + FIRST[side])}" for x in best if np.isfinite(cosine[x]))
