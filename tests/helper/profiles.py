"""Shared by tests: Scripted, ScriptedProfiler, save_parents."""

from collections.abc import Sequence
from pathlib import Path

from pte.profiler.base import Completion, Query
from pte.profiler.engine.record import Recorded
from pte.profiler.loop.closed_loop import Loop, run_loop, workload
from pte.profiler.loop.draft import Stored
from pte.profiler.prompt import Evidence


class Scripted:
    """An engine that makes up an answer from a prompt's titles, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def identity(self):
        return {"model": "scripted"}

    def batches(self, queries: Sequence[Query]):
        return [[i] for i in range(len(queries))]

    def rate(self, queries):
        return None

    def complete(self, queries, keys):
        self.calls += len(queries)
        return [
            Completion(f" what {query.prompt.data.count(chr(34))} quotes {query.candidate} tell.", 5)
            for query in queries
        ]


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
