"""A comparison as plain grids of words, and what must stand beside them; every output format is written from these."""

from __future__ import annotations

from dataclasses import dataclass

from pte.report import format as fmt
from pte.report.compare.comparison import ALPHA, Column, Comparison, Difference
from pte.report.compare.methods import common

RANKED = {
    "masked": "full ranking with seen items masked: what the history holds is not recommended, and a miss if asked for",
    "unmasked": "full ranking with nothing masked: the whole catalogue, seen items too",
    "sampled": "ranks among a few drawn items the user has not met, far higher than full ones and no estimate of them",
}


@dataclass(frozen=True)
class Word:
    """What stands in one place of a grid."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Grid:
    """One table: the first `left` columns are words, the others numbers."""

    name: str  # for labels and anchors: "masked-ndcg-10"
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Word, ...], ...]
    note: str
    left: int


def grids(comparison: Comparison) -> list[Grid]:
    """Per ranking and metric: the values, and where there are two methods, the differences."""
    tables = []
    for ranking, metric in comparison.panels:
        tables.append(value_grid(comparison, ranking, metric))
        if len(comparison.methods) > 1:
            tables += [difference_grid(comparison, ranking, metric), group_grid(comparison, ranking, metric)]
    return tables


def subject(comparison: Comparison) -> str:
    """The question every number of this comparison answers."""
    run = comparison.methods[0].runs[0]
    card = run.report["card"]
    size = comparison.row(Column(comparison.rankings[0], comparison.metrics[0], "all"))[comparison.methods[0].label]
    return (
        f"{card['name']} ({card['users']:,} users, {card['items']:,} items, {card['interactions']:,} interactions),"
        f" protocol {run.option('protocol')}, {comparison.part} part: {size.cases:,} cases of {size.users:,} users"
    )


def makeup(comparison: Comparison) -> str:
    """Which parts the rows share, and how often each was run."""
    sets = {tuple(method.seeds) for method in comparison.methods}
    clauses = [f"seeds {', '.join(map(str, sets.pop()))}" if len(sets) == 1 else "seeds differ between rows"]
    words = {"profiler": "profiles", "encoder": "encoder", "selector": "selector"}
    clauses += [f"{word} {name}" for field, word in words.items() if (name := common(comparison.methods, field))]
    return ", ".join(clauses)


def _name(ranking: str, metric: str, kind: str) -> str:
    return f"{ranking}-{metric.lower().replace('@', '-')}-{kind}"


def _machines(comparison: Comparison) -> str:
    """What the seconds were spent on, where not all of them on one thing."""
    on = sorted({run.hardware for method in comparison.methods for run in method.runs})
    return f" They were spent on {' and '.join(on)}: not to be compared." if len(on) > 1 else ""


def value_grid(comparison: Comparison, ranking: str, metric: str) -> Grid:
    """Methods by groups: means over seeds with their standard deviation, the clear winner in bold."""
    columns = comparison.columns(ranking, metric)
    cells = [comparison.row(column) for column in columns]
    rows = []
    for number, method in enumerate(comparison.methods, 1):
        row_cells = [row[method.label] for row in cells]
        words = [Word(str(number)), Word(method.label), Word(str(len(method.seeds)))]
        words += [Word(fmt.spread(cell.mean, cell.sd), cell.best) for cell in row_cells]
        rows.append((*words, Word(fmt.seconds(method.seconds()))))
    first = [row[comparison.methods[0].label] for row in cells]
    counts = ", ".join(
        f"{_words(column.group)} {cell.cases:,}" + (f" ({cell.users:,} users)" if cell.users != cell.cases else "")
        for column, cell in zip(columns, first, strict=True)
    )
    note = (
        f"{subject(comparison)}; {RANKED[ranking]}; {makeup(comparison)}. Cases: {counts}."
        " Mean ± standard deviation over seeds. Bold: better than every other row (paired permutation test over users,"
        f" Holm-corrected p ≤ {ALPHA}, and beyond seed noise). s: seconds of all stages when they were"
        " made, mean over seeds; shared stages count in every row."
        f"{_machines(comparison)}"
    )
    header = ("#", "method", "seeds", *(_words(column.group) for column in columns), "s")
    return Grid(_name(ranking, metric, "value"), comparison.title(ranking, metric), header, tuple(rows), note, 2)


def difference_grid(comparison: Comparison, ranking: str, metric: str) -> Grid:
    """Each method minus its reference on all cases, with interval, test, and what the test could have seen."""
    differences = comparison.differences(Column(ranking, metric, "all"))
    rows = [
        (
            Word(label), Word(d.against), Word(d.verdict, d.verdict in ("better", "worse")),
            Word(fmt.delta(d.interval.mean)), Word(fmt.interval(d.interval)),
            Word(fmt.p_value(d.p)), Word(fmt.p_value(d.p_holm)), Word(fmt.plain(d.detectable)),
            Word(fmt.plain(d.seed_error)),
        )
        for label, d in differences.items()
    ]  # fmt: skip
    note = (
        f"{subject(comparison)}; {RANKED[ranking]}. Difference of the means over seeds; 95 % interval by bootstrap over"
        f" users ({comparison.draws:,} draws), p by paired permutation, corrected over these rows (Holm). Detectable:"
        " the true difference found, corrected, with 80 % power. Seed error: standard error that the seeds add; a"
        " difference is within seed noise below the 95 % bound that it gives (Welch's t)."
    )
    header = ("method", "against", "verdict", "difference", "95 % interval", "p", "p Holm", "detectable", "seed error")
    title = f"{comparison.title(ranking, metric)}: differences"
    return Grid(_name(ranking, metric, "difference"), title, header, tuple(rows), note, 3)


def group_grid(comparison: Comparison, ranking: str, metric: str) -> Grid:
    """Each method minus its reference in every group of cases; a star where the corrected test finds it."""
    columns = comparison.columns(ranking, metric)
    by_column = [comparison.differences(column) for column in columns]
    rows = [
        (Word(label), Word(comparison.reference[label]), *(starred(differences[label]) for differences in by_column))
        for label in by_column[0]
    ]
    note = (
        f"{subject(comparison)}; {RANKED[ranking]}. * Holm-corrected p ≤ {ALPHA} over the rows of the column."
        " Intervals are in table.csv."
    )
    header = ("method", "against", *(_words(column.group) for column in columns))
    title = f"{comparison.title(ranking, metric)}: differences by group"
    return Grid(_name(ranking, metric, "group"), title, header, tuple(rows), note, 2)


def starred(d: Difference) -> Word:
    """A difference, with a star where the corrected test finds it."""
    return Word(fmt.delta(d.interval.mean) + ("*" if d.p_holm <= ALPHA else ""))


def _words(group: str) -> str:
    return group.replace("_", " ")
