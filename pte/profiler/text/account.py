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
    asked = [g for g in profiles.generations if g.prompt]
    last = {side: max((g.round for g in asked if g.side == side), default=0) for side in ("user", "item")}
    drafts = [g for g in asked if g.round == last[g.side]]
    counts = {
        "unusable": (sum(not g.parsed for g in asked), asked),
        "refused": (sum(_refused(g) for g in asked if not g.parsed), asked),
        "cut": (sum(g.finish == CUT for g in asked), asked),
        "fallback": (sum(not g.parsed for g in drafts), drafts),
    }
    wrong = Counter(g.fault for g in asked if g.fault)
    return {
        "completions": len(asked),
        "retried": sum(bool(g.retried) for g in asked),
        **{f"fault_{name}": wrong[name] for name in FAULTS},
        **{name: count for name, (count, _) in counts.items()},
        **{f"{name}_share": count / max(len(of), 1) for name, (count, of) in counts.items()},
    }


def _refused(g: Generation) -> bool:
    return g.finish in REFUSED or refuses(lead_of(g.prompt), g.completion)


def refuse_unusable(profiles: Profiles) -> None:
    """InputError where not one completion could be used."""
    asked = [g for g in profiles.generations if g.prompt]
    if asked and not any(g.parsed for g in asked):
        raise InputError(
            f"profiles: none of {len(asked):,} completions was usable; the first: {asked[0].completion[:200]!r}."
            " Try another profiler.model or more new tokens, or type profiler=template"
        )


def account(profiles: Profiles) -> list[str]:
    """Lines on what came out: unusable completions, and candidates that repeat another of the same entity."""
    asked = [g for g in profiles.generations if g.prompt]
    failed = sum(not g.parsed for g in asked)
    groups = [*profiles.user, *profiles.item[1:]]
    total = sum(map(len, groups))
    repeated = total - sum(len(set(group)) for group in groups)
    cut = sum(g.finish == CUT for g in asked)
    lines = [
        f"profiles: {failed:,} of {len(asked):,} completions were unusable (an earlier text or plain facts stand in);"
        f" {cut:,} were cut at the token limit and end at their last whole sentence"
    ]
    first, left = (Counter(g.retried for g in asked if g.retried), Counter(g.fault for g in asked if g.fault))
    if first:
        lines.append(
            f"profiles: {sum(first.values()):,} faulty answers were asked for once more ({_counted(first)}); what is"
            f" left: {_counted(left)}. Of these {', '.join(GRAVE)} are not used, the others are"
        )
    return [*lines, f"profiles: {repeated:,} of {total:,} candidates repeat another one of the same entity"]


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in found.most_common()) or "nothing"
