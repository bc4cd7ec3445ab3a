"""`profiler=template`: the same profiles without a language model, K differing candidates from several forms.

The honest control of a language model's profiles: whatever the model is shown, a form simply states. A text is made of
lines `head: title; title; ...`; a user's own rows stand under RECENT and nowhere else, so that an audit can read them
back. With more candidates than forms the second turn cites what comes next in each list.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy import sparse

from pte.profiler.base import DeterministicProfiler, check_candidates
from pte.profiler.evidence.neighbor import (
    Neighbors,
    incidence,
    item_neighbors,
    next_items,
    own_incidence,
    shifted_ppmi,
    top,
    user_neighbors,
)
from pte.profiler.evidence.plain import NOBODY, RECENT
from pte.profiler.loop.account import account
from pte.profiler.text.clean import Catalogue
from pte.schema import Generation, InputError, Profiles, ProfileWriter, View, require

ITEM_FORMS = ("together", "sequence", "audience", "metadata")
USER_FORMS = ("recent", "interests", "similar", "companions")


class TemplateProfiler(DeterministicProfiler):
    """Texts by form; candidate k takes form k modulo the number of forms."""

    def __init__(
        self, *, num_candidates: int, item_forms: Sequence[str], user_forms: Sequence[str], titles: int
    ) -> None:
        for side, names, known in (("item", item_forms, ITEM_FORMS), ("user", user_forms, USER_FORMS)):
            unknown = [name for name in names if name not in known]
            if unknown or not names:
                raise InputError(f"profiler.{side}_forms={list(names)}: choose from {', '.join(known)}")
        check_candidates(num_candidates)
        require(titles >= 1, "profiler.titles", titles, "give 1 or more")
        self.num_candidates, self.titles = num_candidates, titles
        self.item_forms, self.user_forms = list(item_forms), list(user_forms)

    def _account(self, profiles: Profiles) -> list[str]:
        return account(profiles)[-1:]

    def _write(self, view: View, writer: ProfileWriter) -> Profiles:
        depth = -(-self.num_candidates // min(len(self.item_forms), len(self.user_forms)))
        facts = _Facts(view, self.titles, depth)
        for side, entities in (("user", range(view.num_users)), ("item", range(1, view.num_items + 1))):
            for entity in entities:
                writer.entity(self._candidates(side, entity, facts))
        return writer.close()

    def _candidates(self, side: str, entity: int, facts: _Facts) -> list[Generation]:
        forms = self.item_forms if side == "item" else self.user_forms
        write = facts.item if side == "item" else facts.user
        group = []
        for k in range(self.num_candidates):
            form, turn = forms[k % len(forms)], k // len(forms)
            group.append(Generation(side, entity, 0, k, form, 0.0, "", "", write(entity, form, turn), parsed=True))
        return group


class _Facts:
    """Everything the forms state, counted once for a view."""

    def __init__(self, view: View, titles: int, depth: int) -> None:
        self.view, self.titles, self.most = view, titles, titles * depth
        self.catalogue = Catalogue(view.items)
        self.title = [name.replace(";", ",") for name in self.catalogue.name]

    @cached_property
    def companions(self) -> Neighbors:
        return item_neighbors(self.view, self.most)

    @cached_property
    def around(self) -> tuple[Neighbors, Neighbors]:
        return next_items(self.view, self.most)

    @cached_property
    def similar(self) -> Neighbors:
        return user_neighbors(self.view, 10)

    @cached_property
    def kinds(self) -> list[str]:
        return sorted({kind for kinds in self.catalogue.kinds for kind in kinds})

    @cached_property
    def user_kinds(self) -> sparse.csr_matrix:
        """(U, number of kinds) how many items of each kind a user has that prompts may show."""
        place = {kind: j for j, kind in enumerate(self.kinds)}
        pairs = [(i, place[kind]) for i, kinds in enumerate(self.catalogue.kinds) for kind in kinds]
        row, column = zip(*pairs, strict=True) if pairs else ((), ())
        shape = (self.view.num_items + 1, len(self.kinds))
        belongs = sparse.csr_matrix((np.ones(len(pairs), np.float32), (row, column)), shape=shape)
        return (own_incidence(self.view) @ belongs).tocsr()

    @cached_property
    def favourite_kinds(self) -> Neighbors:
        return top(self.user_kinds, self.most, none=-1)

    @cached_property
    def audience_kinds(self) -> Neighbors:
        """Kinds that users who chose an item have more of than all users."""
        counts = (incidence(self.view).T @ self.user_kinds).tocsr()
        return top(shifted_ppmi(counts, negatives=1.0, smoothing=1.0, shrink=5.0), self.most, none=-1)

    def item(self, item: int, form: str, turn: int) -> str:
        """The text of one form about an item."""
        kind, first = self.catalogue.kind[item], self.catalogue.name[item]
        lines = [f"{first} ({kind})." if kind else f"{first}."]
        if form == "metadata" and turn == 0:
            return self.catalogue.sentence(item)
        if form == "sequence":
            before, after = self.around
            lines += self._listed("Chosen before it:", self._slice(before.of(item), turn, (self.titles + 1) // 2))
            lines += self._listed("Chosen after it:", self._slice(after.of(item), turn, (self.titles + 1) // 2))
        elif form == "audience":
            names = [self.kinds[j] for j in self._slice(self.audience_kinds.of(item), turn, self.titles)]
            lines += [f"People who chose it like: {'; '.join(names)}"] if names else []
        else:
            lines += self._listed("Often chosen with:", self._slice(self.companions.of(item), turn, self.titles))
        return "\n".join(lines)

    def user(self, user: int, form: str, turn: int) -> str:
        """The text of one form about a user."""
        history = self.view.history(user)[::-1].tolist()
        if not history:
            return NOBODY
        few = max(self.titles // 2, 1)
        if form == "recent":
            return "\n".join(self._listed(RECENT, self._slice(history, turn, self.titles) or history[: self.titles]))
        lines = self._listed(RECENT, history[:few])
        if form == "interests":
            names = [self.kinds[j] for j in self._slice(self.favourite_kinds.of(user), turn, self.titles)]
            lines = [f"Mostly: {'; '.join(names)}", *lines] if names else lines
        elif form == "similar":
            lines += self._listed(
                "Similar people also chose:", self._slice(self._also(user, history), turn, self.titles)
            )
        else:
            near = [j for item in history[: self.titles] for j in self.companions.of(item)[:3]]
            other = [item for item in dict.fromkeys(near) if item not in set(history)]
            lines += self._listed("Often chosen with these:", self._slice(other, turn, self.titles))
        return "\n".join(lines)

    def _also(self, user: int, history: list[int]) -> list[int]:
        """What similar users chose and this one did not, the most frequent first, ties by item."""
        rows = [self.view.item[self.view.start[v] : self.view.start[v + 1]] for v in self.similar.of(user)]
        if not rows:
            return []
        item, count = np.unique(np.concatenate([np.unique(row) for row in rows]), return_counts=True)
        new = ~np.isin(item, history)
        item, count = item[new], count[new]
        most: list[int] = item[np.lexsort((item, -count))][: self.most].tolist()
        return most

    def _slice(self, values: list[int], turn: int, size: int) -> list[int]:
        return values[turn * size : (turn + 1) * size]

    def _listed(self, head: str, items: list[int]) -> list[str]:
        return [f"{head} {'; '.join(self.title[i] for i in items)}"] if items else []
