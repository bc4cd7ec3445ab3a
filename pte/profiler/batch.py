"""`profiler=batch`: the closed loop by files of requests that a batch service, or `vllm run-batch`, answers in time.

Each leg of the loop (items, people, items ...) needs the texts of the one before, and so is a round trip of its own:
the run writes what is missing and stops; with the answers in place the same command goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pte.profiler.base import Log
from pte.profiler.engine.batch_file import BatchEngine
from pte.profiler.engine.chat import OPTIONAL
from pte.profiler.engine.record import Recorded
from pte.profiler.loop import Loop, Stored, play, workload
from pte.profiler.prompt import Evidence
from pte.schema import Generation, InputError, Profiles, View

TOGETHER = 1024  # answers logged at a time: they lie in files, so that none is lost


class BatchProfiler:
    """K candidates from a model asked by files."""

    def __init__(
        self,
        *,
        model: str | None,
        folder: str | None,
        num_candidates: int,
        rounds: int,
        item_forms: Sequence[str],
        user_forms: Sequence[str],
        evidence: Evidence,
        temperatures: Sequence[float],
        top_p: float,
        max_new_tokens: int,
        without: Sequence[str] = (),
        failure_share: float = 0.1,
    ) -> None:
        if not model or not folder:
            raise InputError("profiler=batch needs profiler.model=NAME and profiler.folder=PATH, where its files go")
        if unknown := [name for name in without if name not in OPTIONAL]:
            raise InputError(f"profiler.without={unknown}: only {', '.join(OPTIONAL)} can be left out of a request")
        if not 0 <= failure_share <= 1:
            raise InputError(f"profiler.failure_share={failure_share}: give a share, 0 to 1")
        self.num_candidates = num_candidates
        self.loop = Loop(num_candidates, rounds, item_forms, user_forms, temperatures, evidence)
        decoding = {"top_p": top_p, "max_tokens": max_new_tokens}
        self.engine = BatchEngine(model, Path(folder).expanduser(), decoding, frozenset(without), failure_share)

    def profile(self, view: View, *, log: Log) -> Profiles:
        """Play the loop as far as answers go; InputError names the files of what is missing."""
        answer = Recorded(self.engine, log, workload(self.loop, view), noun=self.engine.model)
        answer.generator, answer.together = self.engine, TOGETHER
        return play(self.loop, view, answer)

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """Play the loop on stored completions."""
        return self.loop.run(view, Stored(stored))
