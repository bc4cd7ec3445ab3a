"""What profilers by a language model share: the closed loop, played against an engine behind its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pte.profiler.base import Engine, Generator, Log
from pte.profiler.engine.cost import Tariff, served
from pte.profiler.engine.record import Recorded
from pte.profiler.loop.closed_loop import PORTION, Loop, run_loop, workload
from pte.profiler.loop.draft import Stored
from pte.profiler.prompt import Evidence
from pte.profiler.text.style import load_style
from pte.schema import Generation, Profiles, Resolved, View, require

CHECKS = 3  # 3: titles such as I'm Not There are no address. 2: faults address and year
IN_FILES = 1024  # results logged at a time where they lie in files, so that none is lost


class LoopKnobs(TypedDict):
    """Keywords that every such profiler takes; `loop_of` makes a `Loop` of them."""

    num_candidates: int
    rounds: int
    item_forms: Sequence[str]
    user_forms: Sequence[str]
    evidence: Evidence
    style: NotRequired[str]
    templates: NotRequired[Resolved[str | None]]
    sides: NotRequired[Sequence[str]]
    stop: NotRequired[float]
    retries: NotRequired[int]


def loop_of(temperatures: Sequence[float], *, style: str = "brief", templates: str | None = None, **knobs: Any) -> Loop:
    """A loop in the words of a style; TypeError names a keyword that it does not know."""
    return Loop(temperatures=temperatures, style=load_style(style, templates), **knobs)


class LanguageModelProfiler:
    """K candidates from whatever stands behind the engine; `noun` is what log lines call it.

    `failed_retries`: how often a failed prompt is requested again; raised, recorded ones are requested too.
    Where `generator` is given, results come from it one by one, and are logged `together` at a time.
    `portion`: entities whose prompts the engine is given at a time; None: of all, where each time costs a round trip.
    """

    portion: int | None = PORTION

    def __init__(
        self,
        engine: Engine,
        loop: Loop,
        *,
        noun: str,
        generator: Generator | None = None,
        together: int = 1,
        failed_retries: int = 0,
    ) -> None:
        whole = isinstance(failed_retries, int) and 0 <= failed_retries <= 10
        require(whole, "profiler.failed_retries", failed_retries, "give a whole number, 0 to 10")
        self.engine, self.loop, self.noun = engine, loop, noun
        self.generator, self.together, self.failed_retries = generator, together, failed_retries
        self.num_candidates = loop.num_candidates

    @staticmethod
    def wording(*, style: str = "brief", templates: str | None = None, **_: Any) -> Mapping[str, Any]:
        """What of the prompts' words goes into keys, from the knobs, and how answers to them are judged."""
        return {**load_style(style, templates).identity(), "checks": CHECKS}

    def profile(self, view: View, *, log: Log, out: Path | None = None) -> Profiles:
        """Play the loop; every generation goes to the log as it arrives."""
        answer = Recorded(self.engine, log, workload(self.loop, view), noun=self.noun)
        answer.generator, answer.together = self.generator, self.together
        answer.failed_retries = self.failed_retries
        return run_loop(self.loop, view, answer, out=out, portion=self.portion)

    def forecast(self, view: View) -> list[str]:
        """Lines on what `profile` would cost."""
        raise NotImplementedError

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """Play the loop on stored completions."""
        return self.loop.run(view, Stored(stored))


class ServedProfiler(LanguageModelProfiler):
    """One whose completions are requests to a service."""

    new_tokens: int  # of a completion, at most
    tariff: Tariff

    def forecast(self, view: View) -> list[str]:
        """Prompts, tokens, and what the tariff makes of them."""
        return served(workload(self.loop, view), self.new_tokens, self.tariff, self.loop.retries)
