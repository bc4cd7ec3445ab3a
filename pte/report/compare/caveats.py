"""Caveats of a comparison: what its table by itself leaves out, in sentences written from its numbers."""

from __future__ import annotations

from pte.report.compare.comparison import ALPHA, Column, Comparison, Difference
from pte.report.compare.methods import COUNT_MODEL, Method, common, is_count_model
from pte.report.compare.pool import draws_of
from pte.report.format import completions, delta, interval, p_value, plain
from pte.schema import IMPORTED

GROUPS = ("all", "tail_items")
IMPORTS = ("profiler", "encoder")  # config groups with an option `imported`


def sentences(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """(heading, sentences) in the order of reading."""
    parts = [
        ("How small a difference this could see", detectable(comparison)),
        ("Not significant", not_significant(comparison)),
        ("Text against counting", against_counting(comparison)),
        ("Seeds", seeds(comparison)),
        ("Also bear in mind", caveats(comparison)),
    ]
    return [(heading, sentences) for heading, sentences in parts if sentences]


def _primary(comparison: Comparison, ranking: str, group: str = "all") -> Column:
    return Column(ranking, comparison.metrics[0], group)


def detectable(comparison: Comparison) -> list[str]:
    """The smallest true differences that 80 % of such tests would find."""
    sentences = []
    for ranking in comparison.rankings:
        for group in (g for g in GROUPS if g in comparison.groups):
            column = _primary(comparison, ranking, group)
            differences = [d.detectable for d in comparison.differences(column).values()]
            if differences:
                users = next(iter(comparison.row(column).values())).users
                low, high = plain(min(differences)), plain(max(differences))
                sentences.append(
                    f"{comparison.title(ranking, column.metric)}, {group.replace('_', ' ')} ({users:,} users): with"
                    f" 80 % power the corrected test finds differences of {low if low == high else f'{low} to {high}'}"
                    " and more. Smaller ones may be real and yet not show."
                )
    return sentences


def not_significant(comparison: Comparison) -> list[str]:
    """Every method without a significant difference from its reference, on all cases."""
    sentences = []
    for ranking in comparison.rankings:
        column = _primary(comparison, ranking)
        differences = comparison.differences(column)
        unclear = {label: d for label, d in differences.items() if d.p_holm > ALPHA}
        figure = comparison.title(ranking, column.metric)
        if differences and not unclear:
            sentences.append(f"{figure}: every method differs from its reference.")
        sentences += [f"{figure}: {label} against {d.against}, {_difference(d)}." for label, d in unclear.items()]
        if len(comparison.methods) > 1 and not any(cell.best for cell in comparison.row(column).values()):
            sentences.append(f"{figure}: no method beats every other one, so none is in bold.")
    return sentences


def against_counting(comparison: Comparison) -> list[str]:
    """Do the methods that read text beat a model that only counts?"""
    counting = [m for m in comparison.methods if is_count_model(m)]
    text = [m for m in comparison.methods if m.reads_text]
    if not text:
        return ["No method here reads text."]
    if not counting:
        return [
            f"No count model in this table: add backbone={COUNT_MODEL.lower()}, or this table cannot say what text "
            "adds to counting."
        ]
    return [
        _beaten(comparison, text, counting[0], _primary(comparison, ranking, group))
        for ranking in comparison.rankings
        for group in GROUPS
        if group in comparison.groups
    ]


def _beaten(comparison: Comparison, text: list[Method], count: Method, column: Column) -> str:
    pairs = {method.label: count.label for method in text if method is not count}
    differences = comparison.differences(column, pairs)
    better = [label for label, d in differences.items() if d.p_holm <= ALPHA and d.interval.mean > 0]
    worse = [label for label, d in differences.items() if d.p_holm <= ALPHA and d.interval.mean < 0]
    top = max(differences, key=lambda label: differences[label].interval.mean)
    unclear = len(differences) - len(better) - len(worse)
    return (
        f"{comparison.title(column.ranking, column.metric)}, {column.group.replace('_', ' ')}: of {len(differences)}"
        f" text methods {len(better)} beat {count.label}, {len(worse)} fall behind it, {unclear} cannot be told apart."
        f" The highest is {top}, {_difference(differences[top])}."
    )


def seeds(comparison: Comparison) -> list[str]:
    """What chance in training may have done."""
    sentences = []
    single = [m.label for m in comparison.methods if len(m.seeds) == 1]
    if single:
        sentences.append(f"One seed only, so what training's chance adds is unknown: {'; '.join(single)}.")
    counts = {len(m.seeds) for m in comparison.methods}
    if len(counts) > 1:
        sentences.append(f"Numbers of seeds differ between methods ({', '.join(str(n) for n in sorted(counts))}).")
    differences = comparison.differences(_primary(comparison, comparison.rankings[0]))
    noisy = [label for label, d in differences.items() if d.p_holm <= ALPHA and d.within_seed_noise]
    if noisy:
        sentences.append(
            "Significant over users, but below the 95 % bound that the seeds alone keep (Welch's t), so another set of"
            f" seeds may turn it: {'; '.join(noisy)}."
        )
    return sentences


def caveats(comparison: Comparison) -> list[str]:
    """Fixed limits of the method, and those of this table."""
    sentences = [
        "Intervals and tests take users as the unit of chance, for the seeds that were run. Holm's correction is over"
        " the methods of one column, not over columns: of many columns some will stand out by chance."
    ]
    if several := draws_of(comparison.methods[0].runs[0]):
        sentences.append(
            f"Cases of {len(several)} draws of users (protocol.seed {', '.join(map(str, several))}) are pooled: each"
            " draw was trained by itself, and a user of several draws counts as one."
        )
    encoders = common(comparison.methods, "encoder")
    if "," in encoders:
        sentences.append(
            f"Several encoders ({encoders}): a difference between their rows is also one between encoders."
        )
    texts = {method.label: completions(method.runs[0].report.get("completions")) for method in comparison.methods}
    sentences += [f"Profiles of {label}: {summary}." for label, summary in texts.items() if summary]
    imported = [
        m.label
        for m in comparison.methods
        if m.reads_text and any(run.option(group) == IMPORTED for run in m.runs for group in IMPORTS)
    ]
    if imported:
        sentences.append(
            "Texts or vectors made elsewhere, which cannot be proven free of held-out interactions:"
            f" {'; '.join(imported)}."
        )
    tied = comparison.ranked.group.get("untied")
    if tied is not None:
        sentences.append(
            f"{1 - tied.mean():.1%} of the cases have a target with the time stamp of an item beside it, so that"
            " their order is a convention of the file: the column 'untied' leaves them out."
        )
    if "sampled" in comparison.rankings:
        sentences.append(
            "Sampled ranks are among a few drawn items, not the catalogue: far higher than full ones, and they may"
            " order the methods otherwise."
        )
    return sentences


def _difference(d: Difference) -> str:
    return f"{delta(d.interval.mean)} {interval(d.interval)}, Holm-corrected p {p_value(d.p_holm)}"
