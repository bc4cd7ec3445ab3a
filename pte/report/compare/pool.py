"""Runs over several draws of users as one run: their cases side by side, to resolve what one draw cannot.

Where a protocol draws users (cold_start), a table asks those of one draw alone: a tenth of them, 1,942 on Toys.
`-m protocol.seed=0,1,2` asks three draws; a method's runs that differ in protocol.seed alone are pooled here. Every
draw was trained by itself, so an interval holds what the draw of training users adds as well; a user in several draws
stays one user to bootstrap and tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from pte.metric.summary import groups
from pte.report.compare.methods import identity, require_one_question, same_ranks
from pte.report.runs import Ranked, Run, figures
from pte.schema import InputError

DRAW = "protocol.seed"


def pool_draws(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs, those of one method and seed over all draws as one; and notes on what was counted once. Runs of one
    draw, or of a protocol whose seed leaves the cases as they are, stay apart. InputError where a method lacks a draw.
    """
    by_draw: dict[str, list[Run]] = {}
    for run in runs:
        by_draw.setdefault(_draw(run), []).append(run)
    if len(by_draw) < 2 or not _other_users([same[0] for same in by_draw.values()]):
        return list(runs), []
    for same in by_draw.values():
        require_one_question(same)
    require_one_question([_undrawn(same[0]) for same in by_draw.values()], same_cases=False)
    draws, notes = sorted(by_draw, key=lambda draw: (len(draw), draw)), []
    by_method: dict[str, dict[str, Run]] = {}
    for run in runs:
        own = by_method.setdefault(json.dumps([identity(run), run.seed], sort_keys=True), {})
        first = own.setdefault(_draw(run), run)
        if first is not run:
            if not same_ranks(first, run):
                raise InputError(f"{first.path} and {run.path} are one method with one {DRAW} and different ranks")
            notes.append(f"{run.place} is {first.place} over again (the same ranks): counted once.")
    for own in by_method.values():
        if missing := [draw for draw in draws if draw not in own]:
            run = next(iter(own.values()))
            raise InputError(
                f"{run.path}: its method has no run with {DRAW}={missing[0]}, as others have: run it so, or name only"
                f" runs of one {DRAW}"
            )
    return [_merge([own[draw] for draw in draws]) for own in by_method.values()], notes


def draws_of(run: Run) -> list[int]:
    """The values of protocol.seed that were pooled into a run; [] of a plain one."""
    seed = run.config["protocol"].get("seed")
    return list(seed) if isinstance(seed, Sequence) and not isinstance(seed, str) else []


def _draw(run: Run) -> str:
    return json.dumps(run.config["protocol"].get("seed"))


def _other_users(runs: Sequence[Run]) -> bool:
    return not all(np.array_equal(run.parts["test"].user, runs[0].parts["test"].user) for run in runs[1:])


def _undrawn(run: Run) -> Run:
    """The same without its draw, to compare the rest of what it asks."""
    return _with_seed(run, None)


def _with_seed(run: Run, seed: Any) -> Run:
    protocol = {**run.config["protocol"], "seed": seed}
    return replace(run, report={**run.report, "config": {**run.config, "protocol": protocol}})


def _merge(runs: Sequence[Run]) -> Run:
    """One method's runs over the draws, in their order."""
    parts = {part: _side_by_side([run.parts[part] for run in runs]) for part in runs[0].parts}
    first = _with_seed(runs[0], [run.config["protocol"]["seed"] for run in runs])
    report = {
        **first.report,
        "command": [word for run in runs for word in ("&&", *run.report["command"])][1:],
        "commit": _commit([run.report.get("commit") for run in runs]),
        "stages": {name: _stage([run.report["stages"][name] for run in runs]) for name in runs[0].report["stages"]},
        "metrics": figures(parts, runs[0].suffix),
    }
    return Run(first.path, report, parts)


def _side_by_side(parts: Sequence[Ranked]) -> Ranked:
    case = {name: np.concatenate([part.case[name] for part in parts]) for name in parts[0].case}
    rank = {name: np.concatenate([part.rank[name] for part in parts]) for name in parts[0].rank}
    return Ranked(case, rank, groups(case))


def _stage(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first draw's, with mean seconds, and a commit that says so where any draw's was unclean."""
    seconds = [fact.get("wall_seconds") for fact in facts]
    known = {} if None in seconds else {"wall_seconds": fmean(value for value in seconds if value is not None)}
    return {**facts[0], **known, "commit": _commit([fact.get("commit") for fact in facts])}


def _commit(commits: Sequence[str | None]) -> str | None:
    unclean = [commit for commit in commits if commit is None or commit.endswith("-dirty")]
    return unclean[0] if unclean else commits[0]
