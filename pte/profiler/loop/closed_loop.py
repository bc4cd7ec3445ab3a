"""The closed loop: items are described, users through their items, items through their users, and so on.

    round 0: P_i from metadata, companions and users     round t: P_u from items' P_i and similar users' P_u of t-1,
             (kinds and latest choices stand for P)               then P_i from metadata, their users' P_u of t and
                                                                  companions' P_i of t-1

The last round of each side holds K candidates; rounds before keep one text per entity. `rounds=1` is the single pass
without exchange. Of several candidates the one cited by others is the most central in words: the text nearest to the
mean of its group, which is what `selector=mean` comes to before there are vectors, and needs no reward. Where texts
move less than `stop` between two rounds, the next round is the last.

A profile opens with the entity's plain facts (an item's title and kind, a user's main kinds): exchanging texts
smooths them like a graph Laplacian, and the facts damp it. User profiles reach the recommender only through item
profiles. A faulty answer (text/fault.py) is requested once more; where that brings none to use, the entity's text of
the round before stands in, or its facts. A side that is not among `sides` is represented by its metadata or titles.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from pathlib import Path

import numpy as np

from pte.profiler.base import Answer, Query, check_candidates
from pte.profiler.engine.record import Workload
from pte.profiler.evidence.plain import NOBODY, Plain
from pte.profiler.evidence.prompt_writer import PromptWriter
from pte.profiler.loop.account import account, refuse_unusable
from pte.profiler.loop.column import Column, Lazy
from pte.profiler.loop.draft import Draft, Place, read_answers, second_drafts
from pte.profiler.loop.monitor import change
from pte.profiler.prompt import Evidence
from pte.profiler.text.fault import central
from pte.profiler.text.style import BRIEF, JSON_LEAD, Style
from pte.schema import Generation, InputError, Profiles, ProfileWriter, View, require

logger = logging.getLogger(__name__)

SIDES = ("item", "user")
MOST_ROUNDS = 100
TITLES = 10  # of a user's latest choices, where no user profiles are written
PORTION = 2048  # entities whose prompts and answers are in memory at a time


@dataclass(frozen=True)
class Leg:
    """One side of one round."""

    side: str
    round: int
    drafts: int  # texts per entity


def legs(rounds: int, num_candidates: int, sides: Sequence[str] = SIDES) -> list[Leg]:
    """What the loop writes at most, in order."""
    require(1 <= rounds <= MOST_ROUNDS, "profiler.rounds", rounds, f"give 1 to {MOST_ROUNDS}")
    check_candidates(num_candidates)
    if not sides or len(set(sides)) < len(sides) or not set(sides) <= set(SIDES):
        raise InputError(f"profiler.sides={list(sides)}: give [item,user], [item] or [user]")
    if rounds == 1:
        walk = [Leg("item", 0, num_candidates), Leg("user", 0, num_candidates)]
    else:
        walk = [Leg("item", 0, 1)]
        for t in range(1, rounds):
            drafts = num_candidates if t == rounds - 1 else 1
            walk += [Leg("user", t, drafts), Leg("item", t, drafts)]
    return [leg for leg in walk if leg.side in sides]


def count_generations(num_users: int, num_items: int, num_candidates: int, rounds: int) -> int:
    """How many completions a loop requests, users without any visible row counted too."""
    size = {"user": num_users, "item": num_items}
    return sum(size[leg.side] * leg.drafts for leg in legs(rounds, num_candidates))


@dataclass(frozen=True)
class Loop:
    """A closed loop's settings; `run` asks anything that answers."""

    num_candidates: int
    rounds: int
    item_forms: Sequence[str]
    user_forms: Sequence[str]
    temperatures: Sequence[float]
    evidence: Evidence
    style: Style = BRIEF
    sides: Sequence[str] = SIDES
    stop: float = 0.0  # mean of 1 - cos between two rounds' texts (monitor.py), below which the next round is the last
    retries: int = 0  # of a faulty answer, 0 or 1
    seed: int = 0  # of what candidates see

    def __post_init__(self) -> None:
        self.style.item.forms_named("item", list(self.item_forms))
        self.style.user.forms_named("user", list(self.user_forms))
        legs(self.rounds, self.num_candidates, self.sides)
        if not self.temperatures:
            raise InputError("profiler.decoding.temperatures is empty: give at least one, for instance [0.7]")
        require(self.retries in (0, 1), "profiler.retries", self.retries, "take 0 or 1")
        require(0 <= self.stop < 2, "profiler.stop", self.stop, "give a number from 0 to below 2")

    @property
    def forms(self) -> dict[str, Sequence[str]]:
        return {"item": self.item_forms, "user": self.user_forms}

    def prefixes(self, leg: Leg) -> int:
        """Distinct prompts of one entity in a leg, the leads apart."""
        if self.evidence.varies:
            return leg.drafts
        names = self.forms[leg.side]
        forms = [self.style.of(leg.side).form[names[k % len(names)]] for k in range(leg.drafts)]
        return len({(form.others, form.lead == JSON_LEAD, form.ask) for form in forms})

    def run(self, view: View, answer: Answer, *, out: Path | None = None, portion: int | None = None) -> Profiles:
        """All legs in order; `answer` completes the prompts, of `portion` entities at a time (None: of a whole leg).

        out: a folder for the profiles and for what the loop notes down; None: all of it in memory.
        """
        with _State(self, view, out) as state:
            walk = legs(self.rounds, self.num_candidates, self.sides)
            for number, round_ in groupby(walk, key=lambda leg: leg.round):
                last = number == walk[-1].round or state.settled
                for leg in round_:
                    state.leg(replace(leg, drafts=self.num_candidates) if last else leg, answer, last, portion)
                if last:
                    break
            for side in SIDES:
                if side not in self.sides:
                    state.plain(side)
            return state.writer.close()


class _State:
    """One run of the loop over one view; what it notes down lies in a folder within `out` until it ends."""

    def __init__(self, loop: Loop, view: View, out: Path | None = None) -> None:
        self.loop, self.view, self.prompts = loop, view, PromptWriter(view, loop.evidence, loop.style)
        self.writer = ProfileWriter(out, loop.num_candidates)
        self.notes = None if out is None else tempfile.TemporaryDirectory(prefix=".notes-", dir=out)
        self.profile: dict[str, Sequence[str]] = {  # of the last round
            "item": [""] * (view.num_items + 1), "user": [""] * view.num_users,
        }  # fmt: skip
        self.cited: dict[str, Sequence[str]] = {  # as other prompts cite them
            "item": self.profile["item"],  # kinds stand beside
            "user": Lazy(self.prompts.first_words, view.num_users),
        }
        self.moved: dict[str, float | None] = {}

    def __enter__(self) -> _State:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.notes is not None:
            self.profile, self.cited = {}, {}
            self.notes.cleanup()

    @property
    def settled(self) -> bool:
        """Whether the texts of all sides have stopped moving."""
        moved = [self.moved.get(side) for side in self.loop.sides]
        if not all(each is not None and each < self.loop.stop for each in moved):
            return False
        logger.info(f"profiles: texts move less than profiler.stop={self.loop.stop}: this round is the last")
        return True

    def leg(self, leg: Leg, answer: Answer, last: bool, portion: int | None) -> None:
        """Ask for every draft of one side, read the answers, keep each entity's most central usable one."""
        side, entities = leg.side, self._entities(leg.side)
        profile, cited = (self._column(f"{side}-{leg.round}-{name}") for name in ("profile", "cited"))
        for first in range(0, len(entities), portion or max(len(entities), 1)):
            chunk = entities[first : first + portion] if portion else entities
            drafts = self._drafts(leg, chunk, answer)
            for e in chunk:
                own = [drafts.get((e, k)) for k in range(leg.drafts)]
                generations = [self._generation(leg, e, k, draft) for k, draft in enumerate(own)]
                (self.writer.entity if last else self.writer.generations.extend)(generations)
                text, citation = self._central(side, e, [d for d in own if d and d.profile is not None])
                profile.append(text)
                cited.append(citation)
        before, self.profile[side], self.cited[side] = self.profile[side], profile.close(), cited.close()
        self.moved[side] = change(before, self.profile[side])

    def _drafts(self, leg: Leg, entities: Sequence[int], answer: Answer) -> dict[Place, Draft]:
        """The answers on some entities."""
        places = ((e, k) for e in entities for k in range(leg.drafts))
        queries = {place: query for place in places if (query := self.query(leg.side, *place, leg.round))}
        limits = self.loop.style.of(leg.side).answer
        drafts = read_answers(queries, answer(list(queries.values())), limits)
        return drafts | second_drafts(drafts, answer, limits) if self.loop.retries else drafts

    def _central(self, side: str, entity: int, usable: Sequence[Draft]) -> tuple[str, str]:
        """The most central of an entity's profiles, and how others cite it; of none the one before."""
        if not usable:
            return self.profile[side][entity], self.cited[side][entity]
        bodies = [(d.profile or "").removeprefix(d.query.prompt.lead) for d in usable]
        place = central(bodies)
        return usable[place].profile or "", self._citation(side, entity, bodies[place])

    def _column(self, name: str) -> Column:
        """One text per entity, padding's first."""
        column = Column(None if self.notes is None else Path(self.notes.name), name)
        if name.startswith("item"):
            column.append("")
        return column

    def plain(self, side: str) -> None:
        """Plain metadata of a side that nothing is written about."""
        plain = Plain(self.view, TITLES)
        for e in self._entities(side):
            text = plain.of(side, e)
            self.writer.entity(
                Generation(side, e, 0, k, "metadata", 0.0, "", "", text, parsed=True)
                for k in range(self.loop.num_candidates)
            )

    def query(self, side: str, entity: int, k: int, round_: int = 0) -> Query | None:
        """The k-th prompt of an entity; None for a user without visible rows."""
        loop, prompts = self.loop, self.prompts
        temperature = float(loop.temperatures[k % len(loop.temperatures)])
        form = loop.forms[side][k % len(loop.forms[side])]
        draw = None
        if k and loop.evidence.varies:
            draw = np.random.default_rng([loop.seed, SIDES.index(side), entity, k])
        user, item = self.cited["user"], self.cited["item"]
        if side == "item":
            prompt = prompts.item_prompt(entity, form, user, item, draw)
        elif not self.view.size[entity]:
            return None
        else:
            prompt = prompts.user_prompt(entity, form, item, user, draw)
        return Query(prompt, k, temperature, (side, entity, round_))

    def _entities(self, side: str) -> range:
        return range(1, self.view.num_items + 1) if side == "item" else range(self.view.num_users)

    def _generation(self, leg: Leg, entity: int, k: int, draft: Draft | None) -> Generation:
        """One row; where the answer cannot be used, what stands in."""
        if draft is None:
            return Generation(leg.side, entity, leg.round, k, "nobody", 0.0, "", "", NOBODY, parsed=False)
        sentence = draft.profile if draft.profile is not None else self.profile[leg.side][entity]
        text = " ".join(part for part in (self._facts(leg.side, entity), sentence) if part)
        query, done = draft.query, draft.done
        return Generation(
            leg.side, entity, leg.round, k, query.prompt.form, query.temperature, query.prompt.text, done.text, text,
            parsed=draft.profile is not None, finish=done.finish, attempt=draft.attempt,
            fault=draft.fault, retried=draft.first, tokens=done.tokens, prompt_tokens=done.prompt_tokens,
        )  # fmt: skip

    def _facts(self, side: str, entity: int) -> str:
        """What a profile opens with, verbatim."""
        if side == "user":
            kinds = self.prompts.kinds(entity)
            return f"Mostly {', '.join(kinds)}." if kinds else ""
        name, kind = self.prompts.catalogue.name[entity], self.prompts.catalogue.kind[entity]
        return f"{name} ({kind})." if kind else f"{name}."

    def _citation(self, side: str, entity: int, profile: str) -> str:
        """What another prompt cites, without the words all answers begin with: "Drama, War; courage under fire."."""
        kinds = self.prompts.kinds(entity) if side == "user" else []
        return "; ".join(part for part in (", ".join(kinds), profile.strip(" :")) if part)


def run_loop(
    loop: Loop, view: View, answer: Answer, *, out: Path | None = None, portion: int | None = PORTION
) -> Profiles:
    """Run the loop and log what came out."""
    profiles = loop.run(view, answer, out=out, portion=portion)
    refuse_unusable(profiles)
    for line in account(profiles):
        logger.info(line)
    return profiles


def workload(loop: Loop, view: View) -> Workload:
    """How much the loop will ask of a view, second tries apart; the sample stands for prompts of later rounds."""
    size = {"item": view.num_items, "user": int((view.size > 0).sum())}
    walk = legs(loop.rounds, loop.num_candidates, loop.sides)
    return Workload(
        completions=sum(size[leg.side] * leg.drafts for leg in walk),
        prompts=sum(size[leg.side] * loop.prefixes(leg) for leg in walk),
        sample=lambda: sample(loop, view),
    )


def sample(loop: Loop, view: View, size: int = 8) -> list[Query]:
    """Every draft of some items and users spread over the view, with profiles as long as prompts cite them."""
    state = _State(loop, view)
    filler = ("stories with warmth and wit about people far from home " * 5)[: loop.evidence.brief]
    state.cited = {side: [filler] * len(cited) for side, cited in state.cited.items()}
    active = np.flatnonzero(view.size > 0)
    users = active[np.linspace(0, len(active) - 1, min(size, len(active)), dtype=int)].tolist()
    items = np.linspace(1, view.num_items, min(size, view.num_items), dtype=int).tolist()
    mixed = zip_longest((("item", i) for i in items), (("user", u) for u in users))
    entities = [entity for pair in mixed for entity in pair if entity and entity[0] in loop.sides]
    queries = (state.query(side, entity, k) for side, entity in entities for k in range(loop.num_candidates))
    return [query for query in queries if query]
