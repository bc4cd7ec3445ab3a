"""A profiler: pte's closed loop of prompts over an engine of one's own, here a rule in place of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pte.profiler.base import Completion, Log, Query, Rate
from pte.profiler.engine.record import Recorded
from pte.profiler.loop.closed_loop import Loop, run_loop, workload
from pte.profiler.loop.draft import Stored
from pte.profiler.prompt import Evidence
from pte.schema import Generation, Profiles, View


class RuleProfiler:
    """K candidates from an engine; what it answers is logged, so that a stopped run asks nothing twice."""

    def __init__(self, *, num_candidates: int, rounds: int, words: int) -> None:
        forms = (["what", "who"], ["taste", "wish"])
        self.num_candidates = num_candidates
        self.loop = Loop(num_candidates, rounds, *forms, [0.7], Evidence())
        self.engine = RuleEngine(words)

    def profile(self, view: View, *, log: Log, out: Path | None = None) -> Profiles:
        answer = Recorded(self.engine, log, workload(self.loop, view), noun="rule")
        return run_loop(self.loop, view, answer, out=out)

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """From stored completions, without the engine."""
        return self.loop.run(view, Stored(stored))


class RuleEngine:
    """Four methods make an engine; `complete` is where a model would be asked."""

    def __init__(self, words: int) -> None:
        self.words = words

    def identity(self) -> Mapping[str, Any]:
        """What decides a completion beside prompt, candidate and temperature."""
        return {"engine": "rule", "words": self.words}

    def batches(self, queries: Sequence[Query]) -> list[list[int]]:
        """Places in `queries` to complete together."""
        return [list(range(len(queries)))]

    def complete(self, queries: Sequence[Query], keys: Sequence[str]) -> list[Completion]:
        """Every other word of the facts in the prompt, from another start for every candidate."""
        made = []
        for query in queries:
            words = query.prompt.data.replace(":", "").split()[query.candidate :: 2][: self.words]
            made.append(Completion(f" {' '.join(words)}.", len(words)))
        return made

    def rate(self, queries: Sequence[Query]) -> Rate | None:
        """Nothing to measure."""
        return None
