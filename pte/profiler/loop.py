"""The closed loop: items are described, people through their items, items through their people, and so on.

    round 0: P_i from metadata, companions and people    round t: P_u from items' P_i and similar people's P_u of t-1,
             (kinds and latest choices stand for P)               then P_i from metadata, their people's P_u of t and
                                                                  companions' P_i of t-1

The last round of each side holds K candidates; rounds before keep one text per entity. `rounds=1` is the single pass
without exchange. A profile opens with the entity's plain facts (an item's title and kind, a person's main kinds):
exchanging texts smooths them like a graph Laplacian, and the facts damp it. User profiles reach the recommender only
through item profiles. Where a completion is unusable the entity's text of the round before stands in, or its facts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from pte.profiler.base import Answer, Ask, Completion
from pte.profiler.engine.record import Workload
from pte.profiler.prompt import FORMS, JSON_LEAD, Evidence, Witness, forms_named
from pte.profiler.text.account import account, refuse_unusable
from pte.profiler.text.parse import read
from pte.schema import Generation, InputError, Profiles, View

logger = logging.getLogger(__name__)

NOBODY = "A person whose choices are not known yet."
NOTHING = Completion("", 0)


@dataclass(frozen=True)
class Leg:
    """One side of one round."""

    side: str
    round: int
    drafts: int  # texts per entity


def legs(rounds: int, num_candidates: int) -> list[Leg]:
    """What the loop writes, in order."""
    if rounds < 1 or num_candidates < 1:
        raise InputError(f"profiler.rounds={rounds}, profiler.num_candidates={num_candidates}: both must be at least 1")
    if rounds == 1:
        return [Leg("item", 0, num_candidates), Leg("user", 0, num_candidates)]
    walk = [Leg("item", 0, 1)]
    for t in range(1, rounds):
        drafts = num_candidates if t == rounds - 1 else 1
        walk += [Leg("user", t, drafts), Leg("item", t, drafts)]
    return walk


def count_generations(num_users: int, num_items: int, num_candidates: int, rounds: int) -> int:
    """How many completions a loop asks for, users without any visible row counted too."""
    size = {"user": num_users, "item": num_items}
    return sum(size[leg.side] * leg.drafts for leg in legs(rounds, num_candidates))


@dataclass(frozen=True)
class Loop:
    """A closed loop's settings; `run` plays it against anything that answers."""

    num_candidates: int
    rounds: int
    item_forms: Sequence[str]
    user_forms: Sequence[str]
    temperatures: Sequence[float]
    evidence: Evidence

    def __post_init__(self) -> None:
        forms_named("item", self.item_forms)
        forms_named("user", self.user_forms)
        legs(self.rounds, self.num_candidates)
        if not self.temperatures:
            raise InputError("profiler.temperatures is empty: give at least one, for instance [0.7]")

    def stems(self, leg: Leg) -> int:
        """Distinct prompts of one entity in a leg, the leads apart."""
        names = {"item": self.item_forms, "user": self.user_forms}[leg.side]
        forms = [FORMS[leg.side][names[k % len(names)]] for k in range(leg.drafts)]
        return len({(form.others, form.lead == JSON_LEAD) for form in forms})

    def run(self, view: View, answer: Answer) -> Profiles:
        """All legs in order; `answer` completes the prompts."""
        play = _Play(self, view)
        for leg in legs(self.rounds, self.num_candidates):
            play.leg(leg, answer)
        return Profiles(play.texts["user"], play.texts["item"], play.generations)


def central(texts: Sequence[str]) -> int:
    """The place of the text that shares most words with the others (mean Jaccard index), the first of equals."""
    words = [set(re.findall(r"\w+", text.lower())) for text in texts]
    likeness = [sum(len(a & b) / max(len(a | b), 1) for b in words) for a in words]
    return likeness.index(max(likeness))


class _Play:
    """One run of the loop over one view."""

    def __init__(self, loop: Loop, view: View) -> None:
        self.loop, self.view, self.witness = loop, view, Witness(view, loop.evidence)
        self.said = {"item": [""] * (view.num_items + 1), "user": [""] * view.num_users}  # sentences, the last round's
        self.cited = {side: list(said) for side, said in self.said.items()}  # the same as other prompts cite it
        self.cited["user"] = [self.witness.first_words(u) for u in range(view.num_users)]  # items: kinds stand beside
        self.texts: dict[str, list[list[str]]] = {"item": [], "user": []}
        self.generations: list[Generation] = []

    def leg(self, leg: Leg, answer: Answer) -> None:
        """Ask for every draft of one side, read the answers, keep each entity's most central usable one."""
        side = leg.side
        entities = range(1, self.view.num_items + 1) if side == "item" else range(self.view.num_users)
        asks = {(e, k): ask for e in entities for k in range(leg.drafts) if (ask := self.ask(side, e, k))}
        answers = dict(zip(asks, answer(list(asks.values())), strict=True))
        texts = [[""] * leg.drafts] if side == "item" else []
        for e in entities:
            drafts = [self._read(leg, e, k, asks.get((e, k)), answers.get((e, k), NOTHING)) for k in range(leg.drafts)]
            texts.append([generation.text for generation, _ in drafts])
            self.generations += [generation for generation, _ in drafts]
            usable = [(said, asks[e, k].prompt.lead) for k, (g, said) in enumerate(drafts) if g.parsed]
            if usable:
                self.said[side][e], lead = usable[central([said.removeprefix(lead) for said, lead in usable])]
                self.cited[side][e] = self._citation(side, e, self.said[side][e].removeprefix(lead))
        self.texts[side] = texts

    def ask(self, side: str, entity: int, k: int) -> Ask | None:
        """The k-th question about an entity; None for a person without visible rows."""
        loop, witness = self.loop, self.witness
        temperature = float(loop.temperatures[k % len(loop.temperatures)])
        if side == "item":
            form = loop.item_forms[k % len(loop.item_forms)]
            return Ask(witness.item_prompt(entity, form, self.cited["user"], self.cited["item"]), k, temperature)
        if self.view.start[entity] == self.view.start[entity + 1]:
            return None
        form = loop.user_forms[k % len(loop.user_forms)]
        return Ask(witness.user_prompt(entity, form, self.cited["item"], self.cited["user"]), k, temperature)

    def _read(self, leg: Leg, entity: int, k: int, ask: Ask | None, done: Completion) -> tuple[Generation, str]:
        """One generation, and the sentences it says or falls back to."""
        if ask is None:
            return Generation(leg.side, entity, leg.round, k, "nobody", 0.0, "", "", NOBODY, parsed=False), ""
        said = read(ask.prompt.lead, done.text, done.finish)
        shown = said if said is not None else self.said[leg.side][entity]
        text = " ".join(part for part in (self._facts(leg.side, entity), shown) if part)
        told = (ask.prompt.form, ask.temperature, ask.prompt.text, done.text, text)
        return Generation(leg.side, entity, leg.round, k, *told, said is not None, done.finish), shown

    def _facts(self, side: str, entity: int) -> str:
        """What a profile opens with, verbatim."""
        if side == "user":
            kinds = self.witness.kinds(entity)
            return f"Mostly {', '.join(kinds)}." if kinds else ""
        name, kind = self.witness.catalogue.name[entity], self.witness.catalogue.kind[entity]
        return f"{name} ({kind})." if kind else f"{name}."

    def _citation(self, side: str, entity: int, said: str) -> str:
        """What another prompt is told, without the words all answers begin with: "Drama, War; courage under fire."."""
        kinds = self.witness.kinds(entity) if side == "user" else []
        return "; ".join(part for part in (", ".join(kinds), said.strip(" :")) if part)


def play(loop: Loop, view: View, answer: Answer) -> Profiles:
    """Run the loop and log what came out."""
    profiles = loop.run(view, answer)
    refuse_unusable(profiles)
    for line in account(profiles):
        logger.info(line)
    return profiles


def workload(loop: Loop, view: View) -> Workload:
    """How much the loop will ask of a view; the sample stands for prompts of the later rounds."""
    size = {"item": view.num_items, "user": int((view.start[1:] > view.start[:-1]).sum())}
    walk = legs(loop.rounds, loop.num_candidates)
    return Workload(
        completions=sum(size[leg.side] * leg.drafts for leg in walk),
        prompts=sum(size[leg.side] * loop.stems(leg) for leg in walk),
        sample=lambda: _sample(loop, view),
    )


def _sample(loop: Loop, view: View, size: int = 8) -> list[Ask]:
    """Every draft of some items and people spread over the view, with profiles as long as prompts cite them."""
    play = _Play(loop, view)
    filler = ("stories with warmth and wit about people far from home " * 5)[: loop.evidence.brief]
    play.cited = {side: [filler] * len(cited) for side, cited in play.cited.items()}
    active = np.flatnonzero(view.start[1:] > view.start[:-1])
    users = active[np.linspace(0, len(active) - 1, min(size, len(active)), dtype=int)].tolist()
    items = np.linspace(1, view.num_items, min(size, view.num_items), dtype=int).tolist()
    mixed = zip_longest((("item", i) for i in items), (("user", u) for u in users))
    entities = [entity for pair in mixed for entity in pair if entity]
    asks = (play.ask(side, entity, k) for side, entity in entities for k in range(loop.num_candidates))
    return [ask for ask in asks if ask]


class Stored:
    """Answers from stored completions by prompt, draw and temperature; what was never asked is counted and empty."""

    def __init__(self, stored: Sequence[Generation]) -> None:
        self._completion = {
            (g.prompt, g.candidate, g.temperature): Completion(g.completion, 0, g.finish) for g in stored if g.prompt
        }

    def __call__(self, asks: Sequence[Ask]) -> list[Completion]:
        return [self._completion.get((a.prompt.text, a.candidate, a.temperature), NOTHING) for a in asks]
