"""Texts of users and items, and every generation behind them: lists in memory, or files that are read as lists are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pte.schema.error import InputError
from pte.schema.generations import Generation, Generations, GenerationWriter
from pte.schema.texts import Texts, TextWriter

IMPORTED = "imported"  # the form of a text that was written elsewhere, so that nothing is known of what its writer saw
SIDES = ("user", "item")


@dataclass(frozen=True)
class Profiles:
    """K candidate texts for every user and item, and every generation that led to them."""

    user: Sequence[list[str]]  # (U, K)
    item: Sequence[list[str]]  # (N+1, K), row 0 is K times ""
    generations: Sequence[Generation]  # all rounds; the last round of each side holds the candidates

    @property
    def num_candidates(self) -> int:
        return len(self.item[0])

    @classmethod
    def of(cls, generations: Sequence[Generation]) -> Profiles:
        """The texts of each side's last round, in the order of entities and candidates."""
        user, item = (last_round(generations, side) for side in SIDES)
        num_candidates = len(next(iter(item.values()), [""]))
        items = [[""] * num_candidates, *(item[i] for i in range(1, len(item) + 1))]
        return cls([user[u] for u in range(len(user))], items, generations)

    def save(self, out: Path) -> None:
        """Write generations-*.parquet and both sides' texts (texts.py) into `out`; nothing where they lie there."""
        if isinstance(self.generations, Generations) and self.generations.folder == out:
            return
        writer = ProfileWriter(out, self.num_candidates)
        writer.generations.extend(self.generations)
        for side in SIDES:
            for texts in islice(getattr(self, side), side == "item", None):
                writer.texts(side, texts)
        writer.close()

    @classmethod
    def load(cls, path: Path) -> Profiles:
        """What `save` wrote, read from its files on request."""
        if not all((path / f"{side}.ends").is_file() for side in SIDES):
            raise InputError(f"{path}: these profiles were written by another version: make them again")
        return cls(Texts(path, "user"), Texts(path, "item"), Generations(path))


class ProfileWriter:
    """Profiles as they are made: into the files of a folder, or lists in memory where `out` is None."""

    def __init__(self, out: Path | None, num_candidates: int) -> None:
        self.out, self.num_candidates = out, num_candidates
        self.generations: GenerationWriter | list[Generation] = [] if out is None else GenerationWriter(out)
        self.sides: dict[str, TextWriter | list[list[str]]] = {
            side: [] if out is None else TextWriter(out, side, num_candidates) for side in SIDES
        }
        self.texts("item", [""] * num_candidates)  # padding

    def texts(self, side: str, texts: Sequence[str]) -> None:
        """The candidates of a side's next entity."""
        self.sides[side].append(list(texts))

    def entity(self, generations: Iterable[Generation]) -> None:
        """A side's next entity by the generations of its candidates."""
        group = list(generations)
        self.generations.extend(group)
        self.texts(group[0].side, [generation.text for generation in group])

    def close(self) -> Profiles:
        """Everything that was written."""
        user, item, generations = (
            part if isinstance(part, list) else part.close() for part in (*self.sides.values(), self.generations)
        )
        return Profiles(user, item, generations)  # type: ignore[arg-type]


def last_round(generations: Iterable[Generation], side: str) -> dict[int, list[str]]:
    """Candidate texts by entity, in the order of their numbers."""
    rows = [g for g in generations if g.side == side]
    last = max((g.round for g in rows), default=0)
    texts: dict[int, list[str]] = {}
    for g in sorted((g for g in rows if g.round == last), key=lambda g: (g.entity, g.candidate)):
        texts.setdefault(g.entity, []).append(g.text)
    return texts
