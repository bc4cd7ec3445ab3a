"""Texts of users and items, and every generation behind them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pte.schema.error import InputError

GENERATIONS = "generations.jsonl.gz"
IMPORTED = "imported"  # the form of a text that was written elsewhere, so that nothing is known of what its writer saw


@dataclass(frozen=True)
class Generation:
    """One generation: the prompt, the raw completion, and the profile read out of it."""

    side: str  # "user" or "item"
    entity: int  # user 0..U-1 or item 1..N
    round: int  # closed-loop round, from 0
    candidate: int  # 0..K-1
    form: str  # which prompt form or template
    temperature: float  # 0 where no sampling took place
    prompt: str  # "" where no prompt was needed (metadata)
    completion: str
    text: str  # the profile
    parsed: bool  # False where the completion was unusable and a fallback stands in
    finish: str = ""  # why the completion ended: stop, length (cut at the token limit) ...; "" where it is not known
    attempt: int = 0  # 1 where the first answer was faulty, and this is the second
    fault: str = field(default="", compare=False)  # what is wrong with the answer (pte/profiler/text/fault.py)
    retried: str = field(default="", compare=False)  # what was wrong with the first one, where there is a second
    tokens: int = field(default=0, compare=False)  # new ones of the answer
    prompt_tokens: int = field(default=0, compare=False)  # where an engine counts them


@dataclass(frozen=True)
class Profiles:
    """K candidate texts for every user and item, and every generation that led to them."""

    user: list[list[str]]  # (U, K)
    item: list[list[str]]  # (N+1, K), row 0 is K times ""
    generations: list[Generation]  # all rounds; the last round of each side holds the candidates

    @property
    def num_candidates(self) -> int:
        return len(self.item[0])

    def save(self, out: Path) -> None:
        """Write generations.jsonl.gz into `out`, one generation a line; each side's last round holds the candidates."""
        with gzip.open(out / GENERATIONS, "wt", encoding="utf-8", compresslevel=1) as file:
            file.writelines(json.dumps(asdict(g), ensure_ascii=False) + "\n" for g in self.generations)

    @classmethod
    def load(cls, path: Path) -> Profiles:
        """Read back what `save` wrote."""
        with gzip.open(path / GENERATIONS, "rt", encoding="utf-8") as file:
            generations = [Generation(**json.loads(line)) for line in file]
        user, item = _last_round(generations, "user"), _last_round(generations, "item")
        num_candidates = len(next(iter(item.values()), [""]))
        return cls(
            [user[u] for u in range(len(user))],
            [[""] * num_candidates, *(item[i] for i in range(1, len(item) + 1))],
            generations,
        )


def _last_round(generations: Iterable[Generation], side: str) -> dict[int, list[str]]:
    """Candidate texts by entity, in the order of their numbers."""
    rows = [g for g in generations if g.side == side]
    last = max((g.round for g in rows), default=0)
    texts: dict[int, list[str]] = {}
    for g in sorted((g for g in rows if g.round == last), key=lambda g: (g.entity, g.candidate)):
        texts.setdefault(g.entity, []).append(g.text)
    if len({len(group) for group in texts.values()}) > 1:
        raise InputError(f"the profiles of {side}s have different numbers of candidates: make them again")
    return texts
