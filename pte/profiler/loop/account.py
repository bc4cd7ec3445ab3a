"""What became of a loop's completions: unusable, refused, cut; and candidates that something else stands in for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from pte.profiler.base import CUT, FINISHES
from pte.profiler.prompt import lead_of
from pte.profiler.text.fault import FAULTS, GRAVE
from pte.profiler.text.parse import refuses
from pte.schema import Generation, InputError, Profiles

REFUSED = ("refusal", "content_filter")  # finish reasons of an answer that was declined or taken away


def facts(profiles: Profiles) -> dict[str, float]:
    """Counts and shares for manifest and report.

    Of the completions requested: retried, those faulty and requested once more; the faults of those kept, by kind;
    unusable; refused (declined or filtered); cut at the token limit, usable or not, and cut_used, the usable ones of
    them; unknown_finish, taken for whole because the server gave no finish reason, or one that is not known. Of the
    candidates that were asked for: fallback, those an earlier text or plain facts stand in for.
    """
    names = ("completions", "retried", *(f"fault_{name}" for name in FAULTS), "unusable", "refused", "cut")
    counts = Counter(dict.fromkeys((*names, "cut_used", "unknown_finish"), 0))
    drafts: Counter[tuple[str, int]] = Counter()  # by side and round
    fallback: Counter[tuple[str, int]] = Counter()
    for g in _completions(profiles):
        counts["completions"] += 1
        counts["retried"] += bool(g.retried)
        counts["unusable"] += not g.parsed
        counts["refused"] += not g.parsed and _refused(g)
        counts["cut"] += g.finish == CUT
        counts["cut_used"] += g.finish == CUT and g.parsed
        counts["unknown_finish"] += g.finish not in FINISHES and g.parsed
        if g.fault:
            counts[f"fault_{g.fault}"] += 1
        drafts[g.side, g.round] += 1
        fallback[g.side, g.round] += not g.parsed
    last = [max((leg for leg in drafts if leg[0] == side), default=(side, 0)) for side in ("user", "item")]
    counts["fallback"] = sum(fallback[leg] for leg in last)
    of = {"fallback": sum(drafts[leg] for leg in last)}
    shares = {
        f"{name}_share": counts[name] / max(of.get(name, counts["completions"]), 1)
        for name in ("unusable", "refused", "cut", "fallback")
    }
    return {**counts, **shares}


def _completions(profiles: Profiles) -> Iterator[Generation]:
    return (g for g in profiles.generations if g.prompt)


def _refused(g: Generation) -> bool:
    return g.finish in REFUSED or refuses(lead_of(g.prompt), g.completion)


def refuse_unusable(profiles: Profiles) -> None:
    """InputError where not one completion could be used."""
    first = next(_completions(profiles), None)
    if first is not None and not any(g.parsed for g in _completions(profiles)):
        raise InputError(
            f"profiles: none of {sum(1 for _ in _completions(profiles)):,} completions was usable; the first:"
            f" {first.completion[:200]!r} (finish reason {first.finish or 'null'}). Try another profiler.model or more"
            " new tokens, or type profiler=template"
        )


def account(profiles: Profiles) -> list[str]:
    """Lines on what came out: unusable completions, and candidates that repeat another of the same entity."""
    counts = facts(profiles)
    lines = [
        f"profiles: {counts['unusable']:,} of {counts['completions']:,} completions were unusable (an earlier text or"
        f" plain facts stand in); {counts['cut_used']:,} others were cut at the token limit and end at their last whole"
        " sentence"
    ]
    if counts["retried"]:
        first = Counter(g.retried for g in _completions(profiles) if g.retried)
        left = Counter({name: int(counts[f"fault_{name}"]) for name in FAULTS if counts[f"fault_{name}"]})
        lines.append(
            f"profiles: {counts['retried']:,} faulty answers were requested once more ({_counts(first)}); what is"
            f" left: {_counts(left)}. Of these {', '.join(GRAVE)} are not used, the others are"
        )
    groups = list(chain(profiles.user, islice(profiles.item, 1, None)))
    repeated = sum(len(group) - len(set(group)) for group in groups)
    lines.append(
        f"profiles: {repeated:,} of {sum(map(len, groups)):,} candidates repeat another one of the same entity"
    )
    if counts["unknown_finish"]:
        words = Counter(g.finish or "null" for g in _completions(profiles) if g.finish not in FINISHES and g.parsed)
        lines.append(
            f"profiles: {counts['unknown_finish']:,} count as whole because their finish reasons do not tell"
            f" ({_counts(words)})"
        )
    return lines


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "nothing"
