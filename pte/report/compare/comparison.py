"""The numbers of a comparison: means over cases and seeds, paired differences with intervals and corrected tests.

Per case, a metric is averaged over the seeds first; users are then the unit of chance, since the cases of one user hang
together. With S_u the sum of user u's m_u cases, U users and C cases, the table's mean is sum_u S_u / C, and

    v_u = mean + (S_u - mean m_u) U / C        (the ratio's linearisation: bootstrapping users is resampling v_u)
    s_u = S_u U / C                            (what a swap of two methods' labels within a user exchanges)

both have that mean. With one case per user v_u = s_u = the case. Intervals and tests hold for the seeds that were run;
what the seeds themselves add is given beside them as a standard error, and a difference below the bound
that they alone keep (Welch) counts as within their noise.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np

from pte.metric.significance import (
    Interval,
    holm,
    minimum_detectable_difference,
    paired_bootstrap,
    paired_permutation,
    welch,
)
from pte.metric.summary import NAMES, values
from pte.report.compare.methods import Method, normal
from pte.schema import InputError

ALPHA = 0.05


@dataclass(frozen=True)
class Column:
    """What is measured: a ranking ("masked"), a metric ("NDCG@10") and a group of cases ("tail_items")."""

    ranking: str
    metric: str
    group: str


@dataclass(frozen=True)
class Cell:
    """One method in one column."""

    mean: float
    by_seed: tuple[float, ...]
    cases: int
    users: int
    best: bool = False  # the highest, and better than every other by the corrected paired test and beyond seed noise

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; one seed has none."""
        return stdev(self.by_seed) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Difference:
    """One method minus its reference in one column."""

    against: str
    interval: Interval
    p: float
    p_holm: float  # corrected over the methods of the column
    detectable: float  # a true difference this large is found, correction and all, in four of five such tests
    seed_error: float | None  # standard error that the seeds add; unknown where either has one seed
    seed_bound: float | None  # what the seeds alone keep a difference below, 19 times in 20

    @property
    def verdict(self) -> str:
        if self.p_holm > ALPHA:
            return "not significant"
        word = "better" if self.interval.mean > 0 else "worse"
        return f"{word}, but within seed noise" if self.within_seed_noise else word

    @property
    def within_seed_noise(self) -> bool:
        return self.seed_bound is not None and abs(self.interval.mean) < self.seed_bound


class Comparison:
    """All cells and differences of some methods; computed on request, and cached."""

    def __init__(
        self,
        methods: Sequence[Method],
        *,
        metrics: Sequence[str],
        against: str | None = None,
        part: str = "test",
        draws: int = 2_000,
    ) -> None:
        self.methods = tuple(methods)
        self.metrics = tuple(dict.fromkeys(metrics))
        for metric in self.metrics:
            parse(metric)
        if (least := max(100, math.ceil(len(methods) / ALPHA))) > draws:
            raise InputError(
                f"--draws {draws} cannot show significance for {len(methods)} methods: the smallest p is 1 in draws + 1"
                f" and Holm multiplies it by up to their number. Type --draws {max(2_000, least)} or more."
            )
        self.part, self.draws = part, draws
        self.ranked = methods[0].runs[0].parts[part]  # the same cases in every run
        self.rankings = tuple(self.ranked.rank)
        self.groups = tuple(name for name, member in self.ranked.group.items() if member.any())
        self._per_case: dict[tuple[str, str, str], np.ndarray] = {}
        self._cells: dict[tuple[str, Column], Cell] = {}
        self._differences: dict[tuple[Column, tuple[tuple[str, str], ...]], dict[str, Difference]] = {}
        given = None if against is None else method_named(against, methods)
        self.reference = {method.label: given or self._reference(method) for method in methods}

    def columns(self, ranking: str, metric: str) -> list[Column]:
        return [Column(ranking, metric, group) for group in self.groups]

    @property
    def panels(self) -> list[tuple[str, str]]:
        return [(ranking, metric) for ranking in self.rankings for metric in self.metrics]

    def name(self, ranking: str, metric: str) -> str:
        """ "NDCG@10", and "NDCG@10|100neg" among drawn negatives: figures that may not be confused, named apart."""
        return metric + self.methods[0].runs[0].suffix[ranking]

    def title(self, ranking: str, metric: str) -> str:
        return f"{self.name(ranking, metric)} {ranking}"

    def row(self, column: Column) -> dict[str, Cell]:
        """The column's cell of every method, by label."""
        if (self.methods[0].label, column) not in self._cells:
            cells = {method.label: self._cell(method, column) for method in self.methods}
            best = self._clear_winner({label: cell.mean for label, cell in cells.items()}, column)
            self._cells |= {(label, column): replace(cell, best=label == best) for label, cell in cells.items()}
        return {method.label: self._cells[method.label, column] for method in self.methods}

    def differences(self, column: Column, pairs: dict[str, str] | None = None) -> dict[str, Difference]:
        """Each method minus its reference (or the `pairs` given, label -> reference), Holm-corrected together."""
        pairs = {a: b for a, b in (pairs or self.reference).items() if a != b}
        key = (column, tuple(sorted(pairs.items())))
        if key not in self._differences:
            p = [self.p_value(a, b, column) for a, b in pairs.items()]
            seeds = [self._seeds(a, b, column) for a, b in pairs.items()]
            self._differences[key] = {
                a: Difference(
                    against=b,
                    interval=self.interval(a, b, column),
                    p=raw,
                    p_holm=corrected,
                    detectable=self._detectable(a, b, column, len(pairs)),
                    seed_error=error,
                    seed_bound=bound,
                )
                for (a, b), raw, corrected, (error, bound) in zip(pairs.items(), p, holm(p), seeds, strict=True)
            }
        return self._differences[key]

    def interval(self, a: str, b: str | None, column: Column) -> Interval:
        """Bootstrap interval over users of a's mean, or of a - b."""
        left = self._units(a, column)[0]
        right = np.zeros_like(left) if b is None else self._units(b, column)[0]
        return paired_bootstrap(left, right, rng=self._rng(a, b, column), draws=self.draws)

    def p_value(self, a: str, b: str, column: Column) -> float:
        """Two-sided paired permutation test over users, uncorrected."""
        a, b = sorted((a, b))  # the test does not know which is which, nor should its draws
        left, right = self._units(a, column)[1], self._units(b, column)[1]
        return paired_permutation(left, right, rng=self._rng(a, b, column), draws=self.draws)

    def pair(self, a: str, b: str, column: Column) -> tuple[float, float, float, float, float | None]:
        """a minus b: mean, both ends of its interval, uncorrected p, and what the seeds alone keep it below."""
        if self.reference[b] == a:  # as the table of differences has it, where draws are those of b minus a
            turned = self.interval(b, a, column)
            mean, low, high = -turned.mean, -turned.high, -turned.low
        else:
            interval = self.interval(a, b, column)
            mean, low, high = interval.mean, interval.low, interval.high
        return mean, low, high, self.p_value(a, b, column), self._seeds(a, b, column)[1]

    def per_case(self, label: str, ranking: str, metric: str) -> np.ndarray:
        """(C,) the metric of every case, averaged over the method's seeds."""
        key = (label, ranking, metric)
        if key not in self._per_case:
            name, k = parse(metric)
            runs = self._method(label).runs
            self._per_case[key] = np.mean([values(name, run.parts[self.part].rank[ranking], k) for run in runs], axis=0)
        return self._per_case[key]

    def _method(self, label: str) -> Method:
        return next(method for method in self.methods if method.label == label)

    def _reference(self, method: Method) -> str:
        """The baseline of a method: the ID embedding on its backbone, else the best one there is, else row 1."""
        plain = [m for m in self.methods if m.name("representation") and m.runs[0].kind("representation") == "Id"]
        cell = self.row(Column(self.rankings[0], self.metrics[0], "all"))
        plain.sort(key=lambda m: (m.name("backbone") != method.name("backbone"), -cell[m.label].mean))
        return (plain or self.methods)[0].label

    def _cell(self, method: Method, column: Column) -> Cell:
        member = self.ranked.group[column.group]
        by_seed = self._by_seed(method.label, column)
        users = len(np.unique(self.ranked.user[member]))
        return Cell(fmean(by_seed), by_seed, cases=int(member.sum()), users=users)

    def _by_seed(self, label: str, column: Column) -> tuple[float, ...]:
        name, k = parse(column.metric)
        member = self.ranked.group[column.group]
        ranks = [run.parts[self.part].rank[column.ranking][member] for run in self._method(label).runs]
        return tuple(float(values(name, rank, k).mean()) for rank in ranks)

    def _units(self, label: str, column: Column) -> tuple[np.ndarray, np.ndarray]:
        member = self.ranked.group[column.group]
        return per_user(self.per_case(label, column.ranking, column.metric)[member], self.ranked.user[member])

    def _detectable(self, a: str, b: str, column: Column, tests: int) -> float:
        """At the level of Holm's first step, the strictest: what is found there is found at any."""
        left, right = self._units(a, column)[0], self._units(b, column)[0]
        return minimum_detectable_difference(left, right, alpha=ALPHA / tests) if len(left) > 1 else math.nan

    def _seeds(self, a: str, b: str, column: Column) -> tuple[float, float] | tuple[None, None]:
        """Error and bound of the difference, the seeds of a and b being drawn apart; None where either has one seed."""
        left, right = self._by_seed(a, column), self._by_seed(b, column)
        return welch(left, right) if min(len(left), len(right)) > 1 else (None, None)

    def _clear_winner(self, means: dict[str, float], column: Column) -> str | None:
        """The method with the highest mean if it beats each other one, Holm-corrected over them, beyond seed noise.

        The closest come first: one uncorrected p above ALPHA settles it, as a corrected p is never smaller.
        """
        best, *others = sorted(means, key=lambda label: -means[label])
        p = []
        for other in others:
            p.append(self.p_value(best, other, column))
            bound = self._seeds(best, other, column)[1]
            if p[-1] > ALPHA or (bound is not None and means[best] - means[other] < bound):
                return None
        return best if others and max(holm(p)) <= ALPHA else None

    def _rng(self, a: str, b: str | None, column: Column) -> np.random.Generator:
        """Its own stream for every question, so that a table's digits do not depend on which other rows it has."""
        return np.random.default_rng(zlib.crc32(repr((a, b, column, self.part)).encode()))


def parse(metric: str) -> tuple[str, int]:
    """ "NDCG@10" -> ("NDCG", 10)."""
    name, _, k = metric.partition("@")
    if name not in NAMES or not k.isdigit() or int(k) < 1:
        raise InputError(f"metric {metric}: write NAME@K with NAME one of {', '.join(NAMES)}, such as NDCG@10")
    return name, int(k)


def per_user(value: np.ndarray, user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """v and s of this module's head, (U,) each, from cases (C,). Rounded so that equal sums are equal numbers."""
    _, index, count = np.unique(user, return_inverse=True, return_counts=True)
    total, scale = np.bincount(index, weights=value), len(count) / len(value)
    mean = value.mean()
    return np.round(mean + (total - mean * count) * scale, 12), np.round(total * scale, 12)


def mean_interval(value: np.ndarray, user: np.ndarray, draws: int, level: float = 0.95) -> Interval:
    """The mean of cases (C,) and its bootstrap interval over users."""
    unit = per_user(value, user)[0]
    return paired_bootstrap(unit, np.zeros_like(unit), rng=np.random.default_rng(0), draws=draws, level=level)


def method_named(words: str, methods: Sequence[Method]) -> str:
    """The one method that words like "sasrec/id" or a whole label name."""
    exact = [method.label for method in methods if normal(method.label) == normal(words)]
    parts = {normal(word) for word in words.split("/")}
    near = [m.label for m in methods if parts <= {normal(m.name(f)) for f in ("backbone", "representation")}]
    matches = exact or near
    if len(matches) != 1:
        fault = "fits no method" if not matches else f"fits {len(matches)} methods"
        raise InputError(f"--against {words} {fault}. The methods: {'; '.join(method.label for method in methods)}")
    return matches[0]
