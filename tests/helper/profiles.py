"""Shared by tests: Scripted, ScriptedProfiler, save_parents."""

from collections.abc import Sequence
from pathlib import Path

from pte.profiler.base import Ask, Completion
from pte.profiler.engine.record import Recorded
from pte.profiler.loop.closed_loop import Loop, run_loop, workload
from pte.profiler.loop.draft import Stored
from pte.profiler.prompt import Evidence


class Scripted:
    """An engine that makes up an answer from a prompt's titles, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def identity(self):
        return {"model": "scripted"}

    def batches(self, asks: Sequence[Ask]):
        return [[i] for i in range(len(asks))]

    def rate(self, asks):
        return None

    def complete(self, asks, keys):
        self.asked += len(asks)
        return [Completion(f" what {ask.prompt.data.count(chr(34))} quotes {ask.candidate} tell.", 5) for ask in asks]


class ScriptedProfiler:
    """The closed loop over a scripted engine."""

    num_candidates = 2

    def __init__(self) -> None:
        self.engine = Scripted()
        self.loop = Loop(2, 2, ["what", "who"], ["taste", "alone"], [0.7], Evidence())

    def profile(self, view, *, log, out=None):
        return run_loop(
            self.loop, view, Recorded(self.engine, log, workload(self.loop, view), noun="scripted"), out=out
        )

    def rebuild(self, view, stored):
        return self.loop.run(view, Stored(stored))


def save_parents(folder: Path, interactions, split) -> dict[str, Path]:
    parents = {name: folder / name for name in ("interactions", "split")}
    for path in parents.values():
        path.mkdir(parents=True)
    interactions.save(parents["interactions"])
    split.save(parents["split"])
    return parents
