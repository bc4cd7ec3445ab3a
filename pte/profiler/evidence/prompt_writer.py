"""The prompts on every entity: what a view knows about it, in labelled lines.

Evidence is ordered by worth: what does not fit a context is dropped from the end. Every title stands cleaned and in
double quotes, which no title can close (text/clean.py), and the user's own rows stand under HISTORY and nowhere else,
so that an audit can read them back. Items are shown users' last profiles, and users those of items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np

from pte.profiler.evidence.neighbor import Neighbors, item_neighbors, rows_by_item, user_neighbors
from pte.profiler.prompt import Evidence, Prompt
from pte.profiler.text.clean import Catalogue, clean
from pte.profiler.text.style import BRIEF, HISTORY, Style
from pte.schema import View

Draw = np.random.Generator | None  # None: the evidence as it is
FEW = 4096  # users whose kinds are remembered: those of a portion, whose candidates all open with them
ALWAYS = 2  # latest rows of a history that every candidate sees


def brief(text: str, limit: int) -> str:
    """The beginning of another profile, as one cleaned line."""
    return clean(text, limit) if text else ""


class PromptWriter:
    """Writes the prompts on every entity of a view; pure functions of the view and the last profiles."""

    def __init__(self, view: View, evidence: Evidence, style: Style = BRIEF) -> None:
        self.view, self.evidence, self.style, self.catalogue = view, evidence, style, Catalogue(view.items)
        self.kinds = lru_cache(FEW)(self._kinds)

    @cached_property
    def item_neighbors(self) -> Neighbors:
        number = min(self.evidence.companions * self.evidence.pool, self.view.num_items)
        return item_neighbors(self.view, max(number, 1))

    @cached_property
    def user_neighbors(self) -> Neighbors:
        return user_neighbors(
            self.view, max(10, min(self.evidence.similar_users * self.evidence.pool, self.view.num_users))
        )

    @cached_property
    def _rows_by_item(self) -> tuple[np.ndarray, np.ndarray]:
        start, user, _ = rows_by_item(self.view)
        return start, user

    def history(self, user: int) -> list[int]:
        """All items of a user that prompts may show, latest first."""
        latest: list[int] = self.view.history(user)[::-1].tolist()
        return latest

    def choosers(self, item: int, limit: int) -> list[int]:
        """Users who chose an item: one half those for whom it is most recent, the other spread over the rest."""
        start, user = self._rows_by_item
        users = list(dict.fromkeys(user[start[item] : start[item + 1]].tolist()))
        if len(users) <= limit:
            return users
        recent, rest = users[: (limit + 1) // 2], users[(limit + 1) // 2 :]
        spread = limit - len(recent)
        return recent + [rest[(2 * j + 1) * len(rest) // (2 * spread)] for j in range(spread)]

    def also(self, user: int, limit: int) -> list[int]:
        """Items that the most similar users chose and this one did not, the most frequent first."""
        own = set(self.history(user))
        counts: Counter[int] = Counter()
        for other in self.user_neighbors.of(user)[:10]:
            counts.update(set(self.history(other)) - own)
        return [item for item, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]]

    def _kinds(self, user: int, limit: int = 3) -> list[str]:
        """The categories a user's visible items have most often."""
        counts = Counter(kind for item in self.history(user) for kind in self.catalogue.kinds[item])
        return [kind for kind, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]]

    def first_words(self, user: int) -> str:
        """What stands for a user's profile before there is one: main kinds and latest choices."""
        names = [f"'{self.catalogue.name[i]}'" for i in self.history(user)[:2]]
        chose = f"chose {', '.join(names)}" if names else ""
        return "; ".join(part for part in (", ".join(self.kinds(user)), chose) if part)

    def history_sample(self, user: int, draw: Draw = None) -> list[int]:
        """The items of a user that a prompt shows, latest first."""
        rows = self.history(user)
        if draw is None:
            return rows[: self.evidence.history]
        chance = draw.random(len(rows))
        rows = [item for place, item in enumerate(rows) if place < ALWAYS or chance[place] < self.evidence.keep]
        rows = rows[: self.evidence.history]
        order = np.argsort(np.arange(len(rows)) + draw.uniform(0, self.evidence.jitter + 1, len(rows)))
        return [rows[i] for i in order] if self.evidence.jitter else rows

    def sample(self, ranking: Sequence[int], limit: int, draw: Draw) -> list[int]:
        """`limit` of the first `pool` times as many, in their order; the first ones where nothing is drawn."""
        ranking = list(ranking[: limit * self.evidence.pool])
        if draw is None or len(ranking) <= limit:
            return ranking[:limit]
        return [ranking[i] for i in sorted(draw.choice(len(ranking), limit, replace=False))]

    def item_prompt(
        self, item: int, form: str, user_profiles: Sequence[str], item_profiles: Sequence[str], draw: Draw = None
    ) -> Prompt:
        """Metadata, profiles of users who chose it, its companions with theirs."""
        evidence, wording = self.evidence, self.style.item
        lines = [f'{wording.label["title"]} "{self.catalogue.name[item]}"', *self.catalogue.facts(item)]
        if wording.form[form].others:
            pool = 1 if draw is None else evidence.pool
            choosers = self.sample(self.choosers(item, evidence.choosers * pool), evidence.choosers, draw)
            lines += section(wording.label["choosers"], (brief(user_profiles[u], evidence.brief) for u in choosers))
            companions = self.sample(self.item_neighbors.of(item), evidence.companions, draw)
            citations = (self._cited(i, item_profiles[i]) for i in companions)
            lines += [wording.label["companions"], *citations] if companions else []
        return self._prompt("item", form, lines)

    def user_prompt(
        self, user: int, form: str, item_profiles: Sequence[str], user_profiles: Sequence[str], draw: Draw = None
    ) -> Prompt:
        """The latest items with their kinds and profiles; then what similar users are like."""
        evidence, wording = self.evidence, self.style.user
        lines = [HISTORY, *(self._cited(i, item_profiles[i]) for i in self.history_sample(user, draw))]
        if wording.form[form].others:
            others = self.sample(self.user_neighbors.of(user), evidence.similar_users, draw)
            profiles = section(wording.label["alike"], (brief(user_profiles[u], evidence.brief) for u in others))
            also = [] if profiles else self.also(user, evidence.companions)
            titles = [f'"{self.catalogue.name[i]}"' for i in also]
            lines += profiles or ([f"{wording.label['also']} " + "; ".join(titles)] if titles else [])
        return self._prompt("user", form, lines)

    def _cited(self, item: int, text: str) -> str:
        kind, profile = self.catalogue.kind[item], brief(text, self.evidence.brief)
        return f'- "{self.catalogue.name[item]}"' + (f" ({kind})" if kind else "") + (f": {profile}" if profile else "")

    def _prompt(self, side: str, form: str, lines: list[str]) -> Prompt:
        wording = self.style.of(side)
        own = wording.form[form]
        return Prompt(form, wording.instruction + own.rule, "\n".join(lines), own.lead, own.ask)


def section(head: str, entries: object) -> list[str]:
    """The head and one line `- entry` for every entry that says something; nothing where none does."""
    lines = [f"- {entry}" for entry in entries if entry]  # type: ignore[attr-defined]
    return [head, *lines] if lines else []
