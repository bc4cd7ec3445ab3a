"""A language model behind its log: what was ever generated is looked up, what is missing is generated and kept.

A generation's key is a hash of model, revision, decoding, prompt, temperature and draw. Batches are laid out over all
questions of a leg before the known ones are taken out, and written when they finish; so a run that was killed goes on
with the very batches it would have had, and ends with the very texts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from pte.artifact import digest
from pte.asset.code import sources
from pte.profiler.base import FAILED, Completion, Engine, Generator, Log, Query, Rate, Records, Request, Watched
from pte.schema import InputError
from pte.schema.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workload:
    """How much a whole loop will ask, and questions as long as the later rounds' to measure on."""

    completions: int
    prompts: int  # distinct up to the lead
    sample: Callable[[], Sequence[Query]]


class Recorded:
    """Answers questions from the log, else from the engine; says before it starts what this will cost."""

    def __init__(self, engine: Engine, log: Log, workload: Workload, *, noun: str) -> None:
        self.generator: Generator | None = None  # where set, results come one by one instead of in batches
        self.together = 1  # results to a write; more than one where a killed run could not lose them
        self.failed_retries = 0  # how often what failed by itself is requested again
        self.engine, self.log, self.workload, self.noun = engine, log, workload, noun
        self.done = 0
        self._meter: _Meter | None = None  # from the first missing answer on

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the keys of all generations of this engine share."""
        kind = type(self.engine)
        return {**self.engine.identity(), **sources({"_target_": f"{kind.__module__}.{kind.__qualname__}"})}

    @cached_property
    def records(self) -> Records:
        return self.log.of(self.identity)

    def __call__(self, queries: Sequence[Query]) -> list[Completion]:
        """Every answer; a failure is requested again under a key of its own, so that it is recorded as well."""
        answers = self._answers(queries, 0, len(queries))
        for attempt in range(1, self.failed_retries + 1):
            failed = [i for i, answer in enumerate(answers) if answer.finish == FAILED]
            if not failed:
                break
            self.done -= len(failed)
            again = self._answers([queries[i] for i in failed], attempt, len(queries))
            for i, answer in zip(failed, again, strict=True):
                answers[i] = answer
        return answers

    def _answers(self, queries: Sequence[Query], attempt: int, of: int) -> list[Completion]:
        """attempt: how often they failed before; of: how many answers were wanted at first."""
        again = {"again": attempt} if attempt else {}
        draws = ({"prompt": a.prompt.text, "temperature": a.temperature, "candidate": a.candidate} for a in queries)
        keys = [digest({**self.identity, **draw, **again}) for draw in draws]
        known = {key: _completion(row) for key, row in self.records.find(keys).items()}
        if len(known) < len(set(keys)):
            with self.records.exclusive():  # two runs of one model take turns, so that none pays twice
                late = self.records.find(key for key in keys if key not in known)
                known |= {key: _completion(row) for key, row in late.items()}
                self.done += sum(key in known for key in keys)
                if missing := {key for key in keys if key not in known}:
                    self._generate(queries, keys, missing, known, partial(self._arrivals, attempt, of))
        else:
            self.done += len(keys)
        return [known[key] for key in keys]

    def _generate(
        self,
        queries: Sequence[Query],
        keys: Sequence[str],
        missing: set[str],
        known: dict[str, Completion],
        arrivals: Callable[[Sequence[Query], Sequence[str], set[str]], Iterator[dict[str, Completion]]],
    ) -> None:
        """Request what is missing; every result goes to the log as it arrives, and into `known`."""
        if self._meter is None:
            self._announce(len(missing))
            self._meter = _Meter(logger, "profiles", "generations", self.workload.completions, self.done)
        multiplicity = Counter(keys)
        arrived = arrivals if self.generator is not None else self._batches
        self._meter.resume(self.done)
        for part in arrived(queries, keys, missing):
            known |= part
            more = sum(multiplicity[key] for key in part)  # equal queries are sent once
            self.done += more
            self._meter.tokens += sum(completion.tokens for completion in part.values())
            self._meter.advance(more)

    def _batches(
        self, queries: Sequence[Query], keys: Sequence[str], missing: set[str]
    ) -> Iterator[dict[str, Completion]]:
        """Batch by batch."""
        left = set(missing)
        for batch in self.engine.batches(queries):
            todo = {keys[i]: queries[i] for i in batch if keys[i] in left}
            if not todo:
                continue
            left -= todo.keys()
            if self._meter and isinstance(self.engine, Watched):
                self.engine.watch = partial(self._meter.within, len(todo))
            completions = self.engine.complete(list(todo.values()), list(todo))
            if len(completions) != len(todo) or not all(isinstance(each, Completion) for each in completions):
                raise InputError(
                    f"{type(self.engine).__name__}.complete gave {len(completions)} answers to {len(todo)} queries:"
                    " let it give a pte.profiler.base.Completion for each, in order"
                )
            part = dict(zip(todo, completions, strict=True))
            self._keep(todo, part)
            yield part

    def _arrivals(
        self, attempt: int, of: int, queries: Sequence[Query], keys: Sequence[str], missing: set[str]
    ) -> Iterator[dict[str, Completion]]:
        """Result by result; failures of single requests are results too."""
        assert self.generator is not None
        todo = {key: query for key, query in zip(keys, queries, strict=True) if key in missing}
        waiting: dict[str, Completion] = {}
        try:
            for result in self.generator.generate([Request(key, query, attempt, of) for key, query in todo.items()]):
                waiting[result.key] = result.completion
                if len(waiting) >= self.together:
                    self._keep(todo, waiting)
                    yield waiting
                    waiting = {}
        finally:
            self._keep(todo, waiting)
        yield waiting

    def _keep(self, queries: Mapping[str, Query], completions: Mapping[str, Completion]) -> None:
        self.records.extend(
            {
                "key": key, **_place(queries[key]), "prompt": digest(queries[key].prompt.text), "completion": c.text,
                "finish": c.finish, "tokens": c.tokens, "prompt_tokens": c.prompt_tokens, "detail": c.detail,
            }
            for key, c in completions.items()
        )  # fmt: skip

    def _announce(self, missing: int) -> None:
        """How many generations, tokens and minutes this will be."""
        work = self.workload
        logger.info(
            f"{self.noun}: {work.completions:,} generations from {work.prompts:,} prompts"
            f" ({self.done:,} are recorded already, {missing:,} to do at first)"
        )
        rate = self.engine.rate(work.sample())
        if rate is None:
            logger.info(f"{self.noun}: the minutes depend on the server; progress will show")
            return
        share = 1 - self.done / max(work.completions, 1)
        logger.info(f"{self.noun}: {forecast(work, rate, share)}")


def _completion(row: Mapping[str, Any]) -> Completion:
    """What a row of the log says; rows of versions before say less."""
    texts = {name: str(row.get(name) or "") for name in ("finish", "detail")}
    return Completion(
        str(row["completion"]), int(row["tokens"]), prompt_tokens=int(row.get("prompt_tokens") or 0), **texts
    )


def _place(query: Query) -> dict[str, Any]:
    """Where a query belongs, and how it is drawn."""
    side, entity, round_ = query.place or (None, None, None)
    draw = {"candidate": query.candidate, "temperature": query.temperature}
    return {"side": side, "entity": entity, "round": round_, **draw}


def forecast(work: Workload, rate: Rate, share: float) -> str:
    """Tokens and minutes for the given share of the work, at a measured rate."""
    seconds = share * (work.prompts * rate.prompt_seconds + work.completions * rate.completion_seconds)
    return (
        f"about {share * work.prompts * rate.prompt_tokens:,.0f} prompt tokens and at most"
        f" {share * work.completions * rate.new_tokens:,.0f} new ones; about {seconds / 60:.1f} minutes, measured here:"
        f" {rate.prompt_tokens / rate.prompt_seconds:,.0f} prompt and"
        f" {rate.new_tokens / rate.completion_seconds:,.0f} new tokens a second"
    )


class _Meter(Progress):
    """Generations, whose rate is given in tokens."""

    tokens = 0
    fresh = 0  # of the batch in flight

    def rate(self, seconds: float) -> str:
        return f"{(self.tokens + self.fresh) / seconds:,.0f} tokens/s"

    def advance(self, more: int = 1) -> None:
        self.fresh = 0
        super().advance(more)

    def within(self, rows: int, tokens: int, share: float) -> None:
        """So many tokens of a batch, and this share of its rows' work."""
        self.fresh = tokens
        self.underway(rows * share)

    def resume(self, done: int) -> None:
        """Go on where so many are done: what is recorded already took no time."""
        self.start, self.done = self.start + done - self.done, done
