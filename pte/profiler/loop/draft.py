"""Answers read into profiles; faulty ones requested once more; answers that were stored with profiles, found again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pte.profiler.base import Answer as Answers
from pte.profiler.base import Completion, Query
from pte.profiler.text.fault import FINAL, GRAVE, fault
from pte.profiler.text.parse import read
from pte.profiler.text.style import Answer
from pte.schema import Generation

AGAIN = 1000  # draw k of a prompt is requested again as draw k + AGAIN: above any number of candidates
WARM = 0.7  # temperature of requesting again what was drawn greedily: else the same would come
NOTHING = Completion("", 0)
Place = tuple[int, int]  # entity, candidate


@dataclass(frozen=True)
class Draft:
    """A completion, the profile read out of it, and its fault."""

    query: Query
    done: Completion
    profile: str | None  # the profile that it gives, None where there is none to use
    fault: str
    attempt: int = 0  # 1 where it was requested again
    first: str = ""  # the fault for which it was


def read_answers(
    queries: Mapping[Place, Query],
    answers: Sequence[Completion],
    limits: Answer,
    known: Mapping[Place, Draft] | None = None,
) -> dict[Place, Draft]:
    """The profile in every answer; later candidates of an entity are compared with earlier ones and `known`."""
    drafts: dict[Place, Draft] = {}
    for ((e, k), query), done in zip(queries.items(), answers, strict=True):
        profile = read(query.prompt.lead, done.text, done.finish, limits)
        other = [drafts.get((e, j)) for j in range(k)] + [d for j in range(k) if known and (d := known.get((e, j)))]
        others = [d.profile.removeprefix(d.query.prompt.lead) for d in other if d and d.profile is not None]
        wrong = fault(query.prompt, done, profile, limits, others)
        drafts[e, k] = Draft(query, done, None if wrong in GRAVE else profile, wrong)
    return drafts


def second_drafts(drafts: Mapping[Place, Draft], answer: Answers, limits: Answer) -> dict[Place, Draft]:
    """Another draw of every faulty one, kept where it is better; {} where none is faulty."""
    faulty = {place: d for place, d in drafts.items() if d.fault and d.done.finish not in FINAL}
    if not faulty:
        return {}
    queries = {
        place: replace(d.query, candidate=d.query.candidate + AGAIN, temperature=d.query.temperature or WARM)
        for place, d in faulty.items()
    }
    sound = {place: d for place, d in drafts.items() if not d.fault}
    second = read_answers(queries, answer(list(queries.values())), limits, sound)
    best = {}
    for place, first in faulty.items():
        other = second[place]
        better = not other.fault or (first.fault in GRAVE and (other.fault not in GRAVE or bool(other.done.text)))
        best[place] = replace(other if better else first, attempt=int(better), first=first.fault)
    return best


class Stored:
    """Answers from stored completions by prompt, draw and temperature; an empty one where nothing was stored."""

    def __init__(self, stored: Iterable[Generation]) -> None:
        self._completion = {
            (g.prompt, g.candidate + AGAIN * g.attempt, g.temperature): Completion(
                g.completion, g.tokens, g.finish, g.prompt_tokens
            )
            for g in stored
            if g.prompt
        }

    def __call__(self, queries: Sequence[Query]) -> list[Completion]:
        return [self._completion.get((a.prompt.text, a.candidate, a.temperature), NOTHING) for a in queries]
