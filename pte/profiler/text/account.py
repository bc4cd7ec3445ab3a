"""What became of a loop's completions: unusable, refused, cut; and candidates that something else stands in for."""

from __future__ import annotations

from collections import Counter

from pte.profiler.base import CUT
from pte.profiler.prompt import lead_of
from pte.profiler.text.fault import FAULTS, GRAVE
from pte.profiler.text.parse import refuses
from pte.schema import Generation, InputError, Profiles

REFUSED = ("refusal", "content_filter")  # finish reasons of an answer that was declined or taken away


def facts(profiles: Profiles) -> dict[str, float]:
    """Counts and shares for manifest and report.

    Of the completions asked for: retried, those faulty and asked for once more; the faults of those kept, by kind;
    unusable; refused (declined or filtered); cut at the token limit, usable or not. Of the candidates that were asked
    for: fallback, those an earlier text or plain facts stand in for.
    """
    generations = [g for g in profiles.generations if g.prompt]
    last = {side: max((g.round for g in generations if g.side == side), default=0) for side in ("user", "item")}
    drafts = [g for g in generations if g.round == last[g.side]]
    counts = {
        "unusable": (sum(not g.parsed for g in generations), generations),
        "refused": (sum(_refused(g) for g in generations if not g.parsed), generations),
        "cut": (sum(g.finish == CUT for g in generations), generations),
        "fallback": (sum(not g.parsed for g in drafts), drafts),
    }
    wrong = Counter(g.fault for g in generations if g.fault)
    return {
        "completions": len(generations),
        "retried": sum(bool(g.retried) for g in generations),
        **{f"fault_{name}": wrong[name] for name in FAULTS},
        **{name: count for name, (count, _) in counts.items()},
        **{f"{name}_share": count / max(len(of), 1) for name, (count, of) in counts.items()},
    }


def _refused(g: Generation) -> bool:
    return g.finish in REFUSED or refuses(lead_of(g.prompt), g.completion)


def refuse_unusable(profiles: Profiles) -> None:
    """InputError where not one completion could be used."""
    generations = [g for g in profiles.generations if g.prompt]
    if generations and not any(g.parsed for g in generations):
        raise InputError(
            f"profiles: none of {len(generations):,} completions was usable; the first:"
            f" {generations[0].completion[:200]!r}. Try another profiler.model or more new"
            " tokens, or type profiler=template"
        )


def account(profiles: Profiles) -> list[str]:
    """Lines on what came out: unusable completions, and candidates that repeat another of the same entity."""
    generations = [g for g in profiles.generations if g.prompt]
    failed = sum(not g.parsed for g in generations)
    groups = [*profiles.user, *profiles.item[1:]]
    total = sum(map(len, groups))
    repeated = total - sum(len(set(group)) for group in groups)
    cut = sum(g.finish == CUT for g in generations)
    lines = [
        f"profiles: {failed:,} of {len(generations):,} completions were unusable (an earlier text or plain facts stand"
        f" in); {cut:,} were cut at the token limit and end at their last whole sentence"
    ]
    first, left = (
        Counter(g.retried for g in generations if g.retried),
        Counter(g.fault for g in generations if g.fault),
    )
    if first:
        lines.append(
            f"profiles: {sum(first.values()):,} faulty answers were asked for once more ({_counts(first)}); what is"
            f" left: {_counts(left)}. Of these {', '.join(GRAVE)} are not used, the others are"
        )
    return [*lines, f"profiles: {repeated:,} of {total:,} candidates repeat another one of the same entity"]


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "nothing"
