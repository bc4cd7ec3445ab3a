"""Proof that no stored prompt or profile depends on a validation or test interaction of anyone, in two ways.

Rebuild: every held-out row is deleted from the interactions, the profiler plays again on what is left with the stored
completions for answers (no model at work), and must arrive at the stored prompts and texts, byte for byte.
Read back: whatever wrote them, the lines of a stored prompt that list a user's own history may name visible rows of
that user only. A held-out title in such lines is a leak unless a visible item of the user has the same title.
A held-out title may still occur elsewhere in a prompt: other users' visible rows are collaborative evidence. The report
counts those. The texts of a user without training rows, and no other texts, may state the rows before the user's
first target. Where items' texts were written anew after a choice (stage `refit`), those are read in the same two ways.
Of texts that were written elsewhere (`profiler=imported`) neither way proves anything: the verdict says so.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pte.profiler.base import Profiler
from pte.profiler.evidence.plain import NOBODY, RECENT
from pte.profiler.text.clean import Catalogue
from pte.profiler.text.style import HISTORY
from pte.schema import IMPORTED, Generation, InputError, Interactions, Profiles, Split, view_of
from pte.schema.context import Context
from pte.schema.profiles import last_round

logger = logging.getLogger(__name__)

NAME = "audit"
VERSION = 4  # 4: of refit's texts too, and of users without training rows. 3: held_out_titles_named_elsewhere
READS = ("profiler",)
PARENTS = ("interactions", "split", "profiles", "refit")
LISTED = 100  # findings written out in full; all are counted

_CITED = re.compile(r'- "([^"]*)"')


@dataclass(frozen=True)
class Finding:
    """One violation.

    Kinds: split, prompt differs, text differs, missing, unexpected (rebuild); test, valid, withheld, held out, set
    aside, unknown, unreadable (read back).
    """

    kind: str
    side: str
    entity: int
    round: int
    candidate: int
    detail: str
    prompt: str


def run(context: Context) -> None:
    """Audit the stored profiles; fail where anything is found."""
    interactions = Interactions.load(context.parents["interactions"])
    split = Split.load(context.parents["split"])
    report: dict[str, Any] = {}
    findings: list[Finding] = []
    for stage, rows in (("refit", split.rest), ("profiles", split.visible)):
        if stage not in context.parents:
            continue
        profiles = Profiles.load(context.parents[stage])
        faults = audit(interactions, split, profiles, context.build("profiler"), rows)
        findings = [*faults, *findings]
        report = summary(interactions, split, profiles, faults) | ({"refit": report} if report else {})
    for folder in (context.out, context.work):  # the artefact vanishes when the audit fails, the work folder stays
        (folder / "audit.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    if findings:
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in Counter(f.kind for f in findings).most_common())
        raise InputError(
            f"audit: LEAK or tampering, {len(findings):,} findings ({kinds}). First: {findings[0].detail}."
            f" All of them: {context.work / 'audit.json'}. Do not use these profiles: remove"
            f" {' and '.join(str(context.parents[s]) for s in PARENTS[2:] if s in context.parents)} and make them again"
        )
    if report["imported"]:
        logger.info(
            f"audit: {report['imported']:,} of {report['generations']:,} texts were WRITTEN ELSEWHERE. They are"
            " those of the file; that they hold nothing of held-out interactions CANNOT BE PROVEN"
        )
        return
    again = f" (and {report['refit']['generations']:,} written anew)" if "refit" in report else ""
    logger.info(
        f"audit: clean. {report['generations']:,}{again} prompts and texts rebuilt from visible rows alone are"
        f" identical; {report['titles_read_back']:,} titles of users' own choices read back, all visible"
    )


def audit(
    interactions: Interactions, split: Split, profiles: Profiles, profiler: Profiler, rows: np.ndarray | None = None
) -> list[Finding]:
    """Everything that is wrong, the rebuild's findings first; rows: (M,) bool, what prompts may show.

    None: its visible ones.
    """
    rows = split.visible if rows is None else rows
    clean = clean_rows(interactions, split, rows)
    view = view_of(interactions, clean, own_rows(interactions, split))
    bad = np.flatnonzero(rows & ~clean)
    findings = [
        Finding("split", "user", int(interactions.user[row]), -1, -1, f"row {row} is held out, yet visible", "")
        for row in bad
    ]
    rebuilt = profiler.rebuild(view, profiles.generations)
    return [
        *findings,
        *differences(profiles.generations, rebuilt.generations),
        *exchanged(profiles),
        *read_back(interactions, split, profiles, rows),
    ]


def clean_rows(interactions: Interactions, split: Split, rows: np.ndarray | None = None) -> np.ndarray:
    """(M,) bool: of rows (None: visible) those that train, are not held out, and lie before the first target."""
    rows = split.rest & (split.visible if rows is None else rows)
    before = np.arange(len(interactions.user)) < first_targets(interactions, split)[interactions.user]
    clean: np.ndarray = rows & before
    return clean


def own_rows(interactions: Interactions, split: Split) -> np.ndarray:
    """(M,) bool: of users without training rows, rows of a history that lie before their first target."""
    begin = np.full(interactions.num_users, len(interactions.user), np.int64)
    for cases in (split.valid, split.test):
        np.minimum.at(begin, cases.user, cases.history_begin(interactions))
    row, user = np.arange(len(interactions.user)), interactions.user
    trains = np.bincount(user[split.train], minlength=interactions.num_users) > 0
    own: np.ndarray = ~trains[user] & (row >= begin[user]) & (row < first_targets(interactions, split)[user])
    return own


def first_targets(interactions: Interactions, split: Split) -> np.ndarray:
    """(U,) the row of each user's first target; behind all rows where there is none."""
    first = np.full(interactions.num_users, len(interactions.user), np.int64)
    for cases in (split.valid, split.test):
        np.minimum.at(first, cases.user, cases.target)
    return first


def differences(stored: Sequence[Generation], rebuilt: Sequence[Generation]) -> list[Finding]:
    """Where the stored generations are not those that visible rows alone lead to."""
    before = {_place(g): g for g in stored}
    after = {_place(g): g for g in rebuilt}
    findings = []
    for place in sorted(before.keys() | after.keys()):
        g, r = before.get(place), after.get(place)
        if g is None or r is None:
            kind = "missing" if g is None else "unexpected"
            findings.append(Finding(kind, *place, f"a generation is {kind}: {_name(place)}", g.prompt if g else ""))
        elif g.prompt != r.prompt:
            detail = f"the prompt of {_name(place)} does not follow from visible rows: {_change(r.prompt, g.prompt)}"
            findings.append(Finding("prompt differs", *place, detail, g.prompt))
        elif g.text != r.text:
            detail = f"the text of {_name(place)} does not follow from its prompt: {_change(r.text, g.text)}"
            findings.append(Finding("text differs", *place, detail, g.prompt))
    return findings


def exchanged(profiles: Profiles) -> list[Finding]:
    """Entities whose candidates, as they are encoded, are not the texts of their generations."""
    return [
        Finding("text differs", side, entity, -1, -1, f"the candidates of {side} {entity} are not its generations'", "")
        for side in ("user", "item")
        for entity, texts in last_round(profiles.generations, side).items()
        if list(getattr(profiles, side)[entity]) != texts
    ]


def read_back(
    interactions: Interactions, split: Split, profiles: Profiles, rows: np.ndarray | None = None
) -> list[Finding]:
    """Own-choice lines that name something else than the user's rows that may be shown."""
    titles = _Titles(interactions, split, rows)
    findings = []
    for g in profiles.generations:
        if g.side != "user" or g.text == NOBODY or g.form == IMPORTED:
            continue
        cited = list(own_titles(g.prompt or g.text))
        if not cited:
            detail = f"{_name(_place(g))} has no line of the user's own history to read back"
            findings.append(Finding("unreadable", *_place(g), detail, g.prompt or g.text))
        findings += [
            Finding(
                kind, *_place(g), f"{_name(_place(g))} lists {title!r} as the user's own history", g.prompt or g.text
            )
            for title in dict.fromkeys(cited)
            if (kind := titles.fault(g.entity, title))
        ]
    return findings


def own_titles(text: str) -> Iterator[str]:
    """The titles that a prompt or a template's text lists as the user's own history."""
    inside = False
    for line in text.split("\n"):
        match = _CITED.match(line)
        if inside and match:
            yield match[1]
        inside = line == HISTORY or (inside and bool(match))
        if line.startswith(RECENT):
            yield from line.removeprefix(RECENT).strip().split("; ")


class _Titles:
    """Titles of visible rows by user, and the kind of row that others come from."""

    def __init__(self, interactions: Interactions, split: Split, rows: np.ndarray | None) -> None:
        self.name = [name.replace(";", ",") for name in Catalogue(interactions.items).name]
        clean = clean_rows(interactions, split, rows) | own_rows(interactions, split)
        kinds = np.where(split.train, np.where(split.rest, "withheld", "held out"), "set aside")
        kinds[split.valid.target], kinds[split.test.target] = "valid", "test"
        self.visible: dict[int, set[str]] = {}
        self.hidden: dict[int, dict[str, str]] = {}
        for user, item, visible, kind in zip(interactions.user, interactions.item, clean, kinds, strict=True):
            if visible:
                self.visible.setdefault(int(user), set()).add(self.name[item])
            else:
                self.hidden.setdefault(int(user), {})[self.name[item]] = str(kind)

    def fault(self, user: int, title: str) -> str | None:
        """None where the title is visible, else what kind of row it comes from."""
        title = title.replace(";", ",")
        if title in self.visible.get(user, ()):
            return None
        return self.hidden.get(user, {}).get(title, "unknown")


def summary(
    interactions: Interactions, split: Split, profiles: Profiles, findings: Sequence[Finding]
) -> dict[str, object]:
    """The report: counts, verdict, and the offending prompts."""
    imported = sum(g.form == IMPORTED for g in profiles.generations)
    user_generations = [g for g in profiles.generations if g.side == "user" and g.text != NOBODY]
    unproven = "cannot be proven: texts written elsewhere" if imported else "clean"
    return {
        "verdict": "leak or tampering" if findings else unproven,
        "imported": imported,
        "generations": len(profiles.generations),
        "titles_read_back": sum(1 for g in user_generations for _ in own_titles(g.prompt or g.text)),
        "held_out_titles_named_elsewhere": _named_elsewhere(interactions, split, user_generations),
        "findings_by_kind": dict(Counter(f.kind for f in findings)),
        "findings": [asdict(f) for f in findings[:LISTED]],
    }


def _named_elsewhere(interactions: Interactions, split: Split, user_generations: Sequence[Generation]) -> int:
    """How many user prompts name a held-out title of the user outside the own-choice lines, which is allowed."""
    name = Catalogue(interactions.items).name
    targets: dict[int, set[str]] = {}
    for cases in (split.valid, split.test):
        for user, target in zip(cases.user.tolist(), cases.target.tolist(), strict=True):
            targets.setdefault(user, set()).add(name[interactions.item[target]])
    count = 0
    for g in user_generations:
        text = g.prompt or g.text
        own = set(own_titles(text))
        count += any(title in text for title in targets.get(g.entity, set()) - own)
    return count


def _place(g: Generation) -> tuple[str, int, int, int]:
    return g.side, g.entity, g.round, g.candidate


def _name(place: tuple[str, int, int, int]) -> str:
    side, entity, round_, candidate = place
    return f"{side} {entity}, round {round_}, candidate {candidate}"


def _change(expected: str, actual: str) -> str:
    """Where two texts part, in a few words."""
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), min(len(expected), len(actual))
    )
    return f"expected ...{expected[max(at - 20, 0) : at + 40]!r}, found ...{actual[max(at - 20, 0) : at + 40]!r}"
