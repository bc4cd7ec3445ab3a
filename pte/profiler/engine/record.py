"""A language model behind its log: what was ever generated is looked up, what is missing is generated and kept.

A generation's key is a hash of model, revision, decoding, prompt, temperature and draw. Batches are laid out over all
questions of a leg before the known ones are taken out, and written when they finish; so a run that was killed goes on
with the very batches it would have had, and ends with the very texts.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pte.artifact import digest
from pte.asset.code import sources
from pte.profiler.base import Ask, Completion, Engine, Generator, Log, Rate, Request

logger = logging.getLogger(__name__)

PLAIN_SECONDS = 15.0  # between progress lines where there is no terminal


@dataclass(frozen=True)
class Workload:
    """How much a whole loop will ask, and questions as long as the later rounds' to measure on."""

    completions: int
    prompts: int  # distinct up to the lead
    sample: Callable[[], Sequence[Ask]]


class Recorded:
    """Answers questions from the log, else from the engine; says before it starts what this will cost."""

    def __init__(self, engine: Engine, log: Log, workload: Workload, *, noun: str) -> None:
        self.generator: Generator | None = None  # where set, results come one by one instead of in batches
        self.together = 1  # results to a write; more than one where a killed run could not lose them
        self.engine, self.log, self.workload, self.noun = engine, log, workload, noun
        self.done = 0
        self._announced = False
        self._meter: _Meter | None = None

    def __call__(self, asks: Sequence[Ask]) -> list[Completion]:
        kind = type(self.engine)
        identity = {**self.engine.identity(), **sources({"_target_": f"{kind.__module__}.{kind.__qualname__}"})}
        keys = [
            digest({**identity, "prompt": a.prompt.text, "temperature": a.temperature, "candidate": a.candidate})
            for a in asks
        ]
        if any(self.log.get(key) is None for key in keys):
            with self.log.alone(digest(identity)[:16]):  # two runs of one model take turns, so that none pays twice
                missing = {key for key in keys if self.log.get(key) is None}
                self.done += len(keys) - sum(key in missing for key in keys)
                if missing:
                    self._generate(asks, keys, missing)
        else:
            self.done += len(keys)
        records = [self.log.get(key) for key in keys]
        return [
            Completion(
                str(record["completion"]),
                int(record["tokens"]),
                str(record.get("finish", "")),
                int(record.get("prompt_tokens", 0)),
            )
            for record in records
            if record is not None
        ]

    def _generate(self, asks: Sequence[Ask], keys: Sequence[str], missing: set[str]) -> None:
        if not self._announced:
            self._announced = True
            self._announce(len(missing))
        multiplicity = Counter(keys)
        with _Meter(self.workload.completions, self.done) as meter:
            if self.generator is not None:
                self._arrivals(self.generator, dict(zip(keys, asks, strict=True)), missing, multiplicity, meter)
                return
            for batch in self.engine.batches(asks):
                todo = list({keys[i]: i for i in batch if keys[i] in missing}.values())
                if not todo:
                    continue
                completions = self.engine.complete([asks[i] for i in todo], [keys[i] for i in todo])
                self._keep([keys[i] for i in todo], completions)
                missing -= {keys[i] for i in todo}
                answered = sum(multiplicity[keys[i]] for i in todo)  # equal questions are asked once
                self.done += answered
                meter.advance(answered, sum(c.tokens for c in completions))

    def _arrivals(
        self, generator: Generator, asks: dict[str, Ask], missing: set[str], multiplicity: Counter[str], meter: _Meter
    ) -> None:
        """Log every result as it arrives; failures of single requests are results too."""
        waiting: dict[str, Completion] = {}
        try:
            for result in generator.generate([Request(key, ask) for key, ask in asks.items() if key in missing]):
                waiting[result.key] = result.completion
                if len(waiting) >= self.together:
                    self._keep(list(waiting), list(waiting.values()))
                    waiting = {}
                self.done += multiplicity[result.key]
                meter.advance(multiplicity[result.key], result.completion.tokens)
        finally:
            self._keep(list(waiting), list(waiting.values()))

    def _keep(self, keys: Sequence[str], completions: Sequence[Completion]) -> None:
        self.log.extend(
            {"key": key, "model": self.noun, "completion": c.text, "tokens": c.tokens,
             "finish": c.finish, "prompt_tokens": c.prompt_tokens, "detail": c.detail}
            for key, c in zip(keys, completions, strict=True)
        )  # fmt: skip

    def _announce(self, missing: int) -> None:
        """How many generations, tokens and minutes this will be."""
        work = self.workload
        logger.info(
            f"{self.noun}: {work.completions:,} generations from {work.prompts:,} prompts"
            f" ({self.done:,} are recorded already, {missing:,} to do in this round)"
        )
        rate = self.engine.rate(work.sample())
        if rate is None:
            logger.info(f"{self.noun}: the minutes depend on the server; progress will show")
            return
        share = 1 - self.done / max(work.completions, 1)
        logger.info(f"{self.noun}: {forecast(work, rate, share)}")


def forecast(work: Workload, rate: Rate, share: float) -> str:
    """Tokens and minutes for the given share of the work, at a measured rate."""
    seconds = share * (work.prompts * rate.prompt_seconds + work.completions * rate.completion_seconds)
    return (
        f"about {share * work.prompts * rate.prompt_tokens:,.0f} prompt tokens and at most"
        f" {share * work.completions * rate.new_tokens:,.0f} new ones; about {seconds / 60:.1f} minutes, measured here:"
        f" {rate.prompt_tokens / rate.prompt_seconds:,.0f} prompt and"
        f" {rate.new_tokens / rate.completion_seconds:,.0f} new tokens a second"
    )


class _Meter:
    """Progress: a bar in a terminal, else a line now and then."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.start = max(total, done), done, done  # more is done where some was asked again
        self.tokens, self.began = 0, time.monotonic()
        self.log_time, self.logged = self.began, done
        console = Console(stderr=True)
        columns = (
            TextColumn("profiles"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False),
        )  # fmt: skip
        self.bar = Progress(*columns, console=console, speed_estimate_period=120) if console.is_terminal else None

    def __enter__(self) -> _Meter:
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task("profiles", total=self.total, completed=self.done, speed="")
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar:
            self.bar.stop()
        elif self.done > self.logged:
            logger.info(f"  {self._line()}")

    def advance(self, completions: int, tokens: int) -> None:
        """Some more are done and kept."""
        self.done, self.tokens = self.done + completions, self.tokens + tokens
        self.total = max(self.total, self.done)
        if self.bar:
            self.bar.update(self.task, completed=self.done, speed=f"{self._speed():,.0f} tokens/s")
        elif time.monotonic() - self.log_time > PLAIN_SECONDS:
            self.log_time, self.logged = time.monotonic(), self.done
            logger.info(f"  {self._line()}")

    def _speed(self) -> float:
        return self.tokens / max(time.monotonic() - self.began, 1e-9)

    def _line(self) -> str:
        each = (time.monotonic() - self.began) / max(self.done - self.start, 1)
        left = each * (self.total - self.done) / 60
        return (
            f"{self.done:,} of {self.total:,} generations, {self._speed():,.0f} tokens/s, about {left:.1f} minutes left"
        )
