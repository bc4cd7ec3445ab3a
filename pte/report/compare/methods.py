"""Runs -> methods, with seeds as replicates. What must not share a table is refused, naming both runs.

Two runs are replicates when their configurations differ in nothing but the seed (and where they ran). Runs that share
their names but not their knobs are two methods, distinguished in the label by the knobs that differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np

from pte.metric.summary import MISS
from pte.report.runs import TEXT_GROUPS, Run
from pte.schema import InputError, typed
from pte.schema.knob import leaves

FIELDS = ("backbone", "representation", "profiler", "encoder", "reward", "selector")
COUNTING = {"Popularity", "Markov", "ItemKNN", "EASE"}  # backbones that take no representation and no training
COUNT_MODEL = "Markov"  # the one to beat: counts what follows what
# Knobs of a protocol that ask no other question: what texts and fused experts may know of the training rows.
KNOWN_ROWS = ("withhold", "min_visible", "holdout")


@dataclass(frozen=True)
class Method:
    """One row of the table: a method, measured once per seed."""

    label: str
    runs: tuple[Run, ...]  # by seed

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def reads_text(self) -> bool:
        return self.runs[0].reads_text

    def name(self, field: str) -> str:
        """What was typed for one of FIELDS; "" where the method has no such part."""
        return name_of(self.runs[0], field)

    def seconds(self) -> float | None:
        """All stages, from raw files to metrics, mean over seeds."""
        totals = [seconds for run in self.runs if (seconds := run.total("wall_seconds")) is not None]
        return fmean(totals) if len(totals) == len(self.runs) else None


def name_of(run: Run, field: str) -> str:
    """What a run was given for a field; "" where that part of the configuration had no effect on it."""
    idle = (field in TEXT_GROUPS and not run.reads_text) or (field == "representation" and counts(run))
    return "" if idle else run.option(field)


def counts(run: Run) -> bool:
    return run.kind("backbone") in COUNTING


def is_count_model(method: Method) -> bool:
    return method.runs[0].kind("backbone") == COUNT_MODEL


def normal(name: str) -> str:
    """ "LeaveOneOut", "leave_one_out" and "leave-one-out" are one name."""
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def where(runs: Sequence[Run], conditions: Iterable[str]) -> list[Run]:
    """The runs that meet every FIELD=NAME[,NAME...]; fields are FIELDS, dataset, protocol and seed."""
    selection = list(runs)
    for condition in conditions:
        field, separator, names = condition.partition("=")
        known = (*FIELDS, "dataset", "protocol", "seed")
        if not separator or field not in known:
            raise InputError(f"--where {condition}: write FIELD=NAME with FIELD one of {', '.join(known)}")
        accepted = {normal(name) for name in names.split(",")}
        present = sorted({_field(run, field) for run in selection})
        selection = [run for run in selection if normal(_field(run, field)) in accepted]
        if not selection:
            raise InputError(f"--where {condition} leaves no run: {field} is one of {', '.join(present)}")
    return selection


def _field(run: Run, field: str) -> str:
    if field == "seed":
        return str(run.seed)
    return str(run.report["card"]["name"]) if field == "dataset" else name_of(run, field)


def require_one_question(runs: Sequence[Run], *, same_cases: bool = True) -> None:
    """Refuse runs that were not asked the same: other data, protocol, ranking, or, of one draw, split or cases."""
    facts: dict[str, Callable[[Run], str]] = {
        "data set": lambda run: f"{run.report['card']['name']} (interactions {run.key('interactions')[:12]})",
        "protocol": lambda run: run.option("protocol"),
        "rankings": lambda run: ", ".join(ranking + suffix for ranking, suffix in sorted(run.suffix.items())),
    }
    first = runs[0]
    for run in runs[1:]:
        alike = run.config["protocol"] == first.config["protocol"]  # then the split must be the very same
        if same_cases:
            facts["split"] = partial(_split, keyed=alike)
        else:
            facts["protocol's knobs"] = partial(_split, keyed=False)
        for noun, of in facts.items():
            if of(run) != of(first):
                raise InputError(
                    f"one table holds one question, but these two differ in their {noun}:\n"
                    f"  {first.path}: {of(first)}\n  {run.path}: {of(run)}\n"
                    "Compare them apart: name fewer folders, or choose with --where dataset=NAME or protocol=NAME."
                )
        if same_cases:
            _require_same_cases(first, run)


def _split(run: Run, keyed: bool) -> str:
    knobs = json.dumps({k: v for k, v in run.config["protocol"].items() if keyed or k not in KNOWN_ROWS})
    return f"{knobs} (split {run.key('split')[:12]})" if keyed else knobs


def _require_same_cases(a: Run, b: Run) -> None:
    for part in a.parts:
        one, other = a.parts[part], b.parts[part]
        pairs = {"cases": (one.user, other.user), "targets": (one.target, other.target)}
        if "masked" in one.rank and "masked" in other.rank:  # which targets are misses by rule follows from the data
            pairs["masked repeats"] = (one.rank["masked"] == MISS, other.rank["masked"] == MISS)
        pairs |= {f"group {name}": (one.group[name], other.group.get(name, np.empty(0))) for name in one.group}
        for noun, (x, y) in pairs.items():
            if not np.array_equal(x, y):
                raise InputError(f"{a.path} and {b.path} have different {noun} in their {part} part: cannot be paired")


def identity(run: Run) -> dict[str, Any]:
    """Everything a replicate shares, flat: knobs by dotted name, without the seed; 0.0 is 0."""
    groups = ["backbone", *(TEXT_GROUPS if run.reads_text else ())]
    groups += ["representation", "optimizer", "trainer"] if not counts(run) else []
    flat: dict[str, Any] = {}
    for group in groups:
        flat |= _flat(run.config.get(group, {}), group)
    if run.reads_text:
        flat |= {f"{name}.content": sha256 for name, sha256 in (run.report.get("content") or {}).items()}
        flat |= _flat({k: v for k, v in run.config["protocol"].items() if k in KNOWN_ROWS}, "protocol")
    return flat


def _flat(value: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name: _whole(knob) for name, knob in leaves(value, prefix, lists=True)}


def _whole(value: Any) -> Any:
    """3.0 as 3: the same knob, however it was typed."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def group(runs: Sequence[Run]) -> tuple[list[Method], list[str]]:
    """Methods, the counting ones first, then by backbone as first met; and notes on what was left out."""
    by_identity: dict[str, list[Run]] = {}
    for run in runs:
        by_identity.setdefault(json.dumps(identity(run), sort_keys=True), []).append(run)
    replicates, notes = [], []
    for same in by_identity.values():
        unique, remarks = _one_per_seed(same)
        replicates.append(unique)
        notes += remarks
    backbones = list(dict.fromkeys(run.option("backbone") for run in runs))
    replicates.sort(key=lambda same: (not counts(same[0]), backbones.index(same[0].option("backbone"))))
    labels = _labels([same[0] for same in replicates])
    methods = [Method(label, tuple(runs)) for label, runs in zip(labels, replicates, strict=True)]
    return methods, notes


def _one_per_seed(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    by_seed: dict[int, Run] = {}
    notes = []
    for run in runs:
        first = by_seed.setdefault(run.seed, run)
        if first is run:
            continue
        if not same_ranks(first, run):
            raise InputError(
                f"two runs of one method with seed {run.seed} and different ranks:\n  {first.path}\n  {run.path}\n"
                "Their code or machine differs, not their configuration. Name the one that counts."
            )
        notes.append(f"{run.place} is {first.place} over again (the same ranks): counted once.")
    return [by_seed[seed] for seed in sorted(by_seed)], notes


def same_ranks(a: Run, b: Run) -> bool:
    """Whether two runs of the same cases ranked every target alike."""
    if not a.parts:  # evidence whose ranks were not kept
        return a.metrics == b.metrics
    return all(np.array_equal(a.parts[p].rank[r], b.parts[p].rank[r]) for p in a.parts for r in a.suffix)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Backbone and representation, then what else differs between the methods: text parts by name, knobs by value."""
    with_text = [run for run in runs if run.reads_text]
    varying = [field for field in TEXT_GROUPS if len({name_of(run, field) for run in with_text}) > 1]
    fields = [["backbone", "representation", *(varying if run.reads_text else ())] for run in runs]
    names = [
        " · ".join(filter(None, (name_of(run, field) for field in own))) for run, own in zip(runs, fields, strict=True)
    ]
    knobs = [identity(run) for run in runs]
    labels = []
    for own, name in zip(knobs, names, strict=True):
        twins = [other for other, its in zip(knobs, names, strict=True) if its == name]
        differ = sorted({k for twin in twins for k in {*twin, *own} if repr(twin.get(k)) != repr(own.get(k))})
        remarks = ", ".join(_knob_words({knob: own[knob] for knob in differ if knob in own}))
        labels.append(f"{name} ({remarks})" if remarks else name)
    return labels


def _knob_words(knobs: Mapping[str, Any]) -> list[str]:
    """What knobs say, each thing once: several may share a value by interpolation. A class goes by its group's name."""
    short = {}
    for knob, value in knobs.items():
        *path, last = knob.split(".")
        if last == "_target_":
            short[knob] = (path[-1], str(value).rsplit(".", 1)[-1])
        else:
            short[knob] = (last, typed(value))
    values: dict[str, set[str]] = {}
    for name, value in short.values():
        values.setdefault(name, set()).add(value)
    remarks = (f"{name if len(values[name]) == 1 else knob}={value}" for knob, (name, value) in short.items())
    return list(dict.fromkeys(remarks))


def common(methods: Sequence[Method], field: str) -> str:
    """The names the methods that have this part use for it, joined; "" where none has it."""
    return ", ".join(dict.fromkeys(name for method in methods if (name := method.name(field))))
