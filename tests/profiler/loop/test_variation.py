"""What differs between candidates and rounds: draws of the evidence, sides, the round that is the last."""

import numpy as np
import pytest

from pte.profiler.base import Completion
from pte.profiler.evidence.plain import RECENT
from pte.profiler.loop.account import account, facts
from pte.profiler.loop.closed_loop import Loop, legs
from pte.profiler.loop.draft import Stored
from pte.profiler.loop.monitor import change, rounds
from pte.profiler.prompt import Evidence
from pte.profiler.text.style import HISTORY, load_style
from pte.schema import InputError, Items, View, visible_view

WIDE = Evidence(history=4, similar_users=2, companions=2, choosers=2, brief=60, keep=0.6, jitter=2, pool=3)


def make_loop(**changes) -> Loop:
    values = {
        "num_candidates": 4,
        "rounds": 2,
        "item_forms": ["what"],
        "user_forms": ["taste"],
        "temperatures": [0.7],
        "evidence": WIDE,
    }
    return Loop(**values | changes)


@pytest.fixture
def crowd() -> View:
    """Twelve people with ten of fifteen items each."""
    names = ["", *(f"thing {chr(97 + i)}" for i in range(15))]
    rows = [(u, 1 + (3 * u + 2 * j + u * j) % 15) for u in range(12) for j in range(10)]
    user, item = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    return View(user, item, 12, Items(names, names, {"genres": ["", *["A", "B", "C"] * 5]}))


def answer_varied(queries):
    """An answer that depends on all that is shown."""
    return [
        Completion(f" a {sum(map(ord, a.prompt.text)) % 9973} {a.candidate} thing for quiet days.", 5) for a in queries
    ]


def shown(prompt: str) -> list[str]:
    lines = prompt.split(f"{HISTORY}\n")[1].split("\n")
    return [line.split('"')[1] for line in lines if line.startswith('- "')]


def last_of(found, side):
    mine = [g for g in found.generations if g.side == side and g.round == 1]
    return {e: [g for g in mine if g.entity == e] for e in {g.entity for g in mine}}


def test_candidates_see_draws_of_history_order_and_neighbours(crowd):
    found = make_loop().run(crowd, answer_varied)
    people, things = last_of(found, "user"), last_of(found, "item")
    assert np.mean([len({g.prompt for g in group}) for group in (*people.values(), *things.values())]) > 3
    for u, group in people.items():
        rows = crowd.item[crowd.start[u] : crowd.start[u + 1]][::-1]
        latest = [crowd.items.title[i] for i in rows]
        assert shown(group[0].prompt)[:4] == latest[:4], "candidate 0 sees the evidence as it is"
        for g in group[1:]:
            own = shown(g.prompt)[:4]
            assert set(latest[:2]) <= set(own), "the latest two are always there"
            assert set(own) <= set(latest), "no row of anybody else"
    orders = [shown(g.prompt)[:4] for group in people.values() for g in group[1:]]
    assert any(set(a) == set(b) and a != b for a in orders for b in orders)


def test_the_draws_follow_from_the_seed_alone(crowd):
    one, same, other = (make_loop(seed=seed).run(crowd, answer_varied) for seed in (0, 0, 1))
    assert one == same
    prompts = [[g.prompt for g in found.generations if g.candidate] for found in (one, other)]
    assert prompts[0] != prompts[1]
    assert make_loop().run(crowd, Stored(one.generations)) == one, "an audit arrives at the same"


def test_without_variation_all_candidates_share_their_evidence(crowd):
    found = make_loop(evidence=Evidence()).run(crowd, answer_varied)
    assert {len({g.prompt for g in group}) for group in last_of(found, "user").values()} == {1}


def test_the_central_candidate_is_cited_not_the_first(crowd):
    """Of three candidates the first is an outlier: nobody's prompt may hold it."""

    def answer(queries):
        texts = (" odd zebra words.", " calm games for two.", " calm games for three.")
        return [Completion(texts[a.candidate], 5) for a in queries]

    found = make_loop(num_candidates=3, evidence=Evidence()).run(crowd, answer)
    prompts = [g.prompt for g in found.generations if g.side == "item" and g.round == 1]
    assert any("calm games" in p for p in prompts)
    assert not any("zebra" in p.split("People who chose it:")[1].split("Often")[0] for p in prompts)


@pytest.mark.parametrize("rounds_", [1, 2, 3])
@pytest.mark.parametrize("side", ["item", "user"])
def test_one_side_is_written_and_the_other_described_plainly(crowd, side, rounds_):
    calls: list = []

    def answer(queries):
        calls.extend(queries)
        return answer_varied(queries)

    found = make_loop(sides=[side], rounds=rounds_).run(crowd, answer)
    heads = {a.prompt.data.startswith("Title:") for a in calls}
    assert heads == {side == "item"}
    assert (len(found.item), len(found.user), len(found.item[1]), len(found.user[0])) == (16, 12, 4, 4)
    if side == "item":
        assert found.user[0][0].startswith(RECENT)
    else:
        assert found.item[1][0] == "thing a. A."
    assert make_loop(sides=[side], rounds=rounds_).run(crowd, Stored(found.generations)) == found


def test_sides_that_cannot_be_are_refused():
    for sides in ([], ["items"], ["item", "item"]):
        with pytest.raises(InputError, match=r"profiler\.sides="):
            make_loop(sides=sides)
    assert [leg.side for leg in legs(3, 2, ["user"])] == ["user", "user"]


def test_the_round_after_texts_stopped_moving_is_the_last(crowd):
    def same(queries):
        return [Completion(" a calm thing for quiet days.", 5) for _ in queries]

    moving = make_loop(rounds=6, stop=0.05).run(crowd, answer_varied)
    still = make_loop(rounds=6, stop=0.05).run(crowd, same)
    assert max(g.round for g in moving.generations) == 5
    assert max(g.round for g in still.generations) == 3, "rounds 1 and 2 say the same"
    assert len(still.item[1]) == len(still.user[0]) == 4
    assert max(g.round for g in make_loop(rounds=6).run(crowd, same).generations) == 5


def test_monitors_of_a_collapse(crowd):
    def same(queries):
        return [Completion(" a calm thing for quiet days.", 5) for _ in queries]

    varied, alike = (rounds(make_loop(rounds=3).run(crowd, answer)) for answer in (answer_varied, same))
    assert [(row["round"], row["side"]) for row in alike] == [
        (0, "item"), (1, "item"), (1, "user"), (2, "item"), (2, "user"),
    ]  # fmt: skip
    assert alike[-1]["change"] == pytest.approx(0, abs=1e-6)
    assert varied[-1]["change"] > 0.01
    assert alike[0]["change"] is None
    assert alike[3]["pairwise_cosine"] > varied[3]["pairwise_cosine"]
    assert alike[3]["effective_rank"] < varied[3]["effective_rank"]
    assert change(["a b", ""], ["a b", "c"]) == pytest.approx(0, abs=1e-6)


def test_a_faulty_answer_is_requested_again_counted_and_rebuilt(crowd):
    """Every second first draw is empty; second draws are sound but for one entity."""

    def answer(queries):
        texts = answer_varied(queries)
        return [
            Completion("" if (a.candidate < 1000 and i % 2) or 'Title: "thing c"' in a.prompt.data else done.text, 5)
            for i, (a, done) in enumerate(zip(queries, texts, strict=True))
        ]

    loop = make_loop(retries=1)
    found = loop.run(crowd, answer)
    figures = facts(found)
    assert figures["retried"] > 20
    assert figures["unusable"] == figures["fault_unusable"] == 1 + 4
    assert {g.text for g in found.generations if not g.parsed} == {"thing c (C)."}
    assert "were requested once more (unusable" in "\n".join(account(found))
    assert loop.run(crowd, Stored(found.generations)) == found
    assert sum(not g.parsed for g in make_loop().run(crowd, answer).generations) > 20


def test_rich_prompts_hold_their_request_after_the_evidence(twelve, twelve_split):
    loop = make_loop(style=load_style("rich"), item_forms=["who", "when"], evidence=Evidence())
    view = visible_view(twelve, twelve_split)
    calls: list = []

    def answer(queries):
        calls.extend(queries)
        summary = "A quiet story for people who like the sea and the long way home, told with warmth."
        return [Completion(f'{summary}", "tags": ["sea"], "contrast": "It is slower."}}', 40) for _ in queries]

    found = loop.run(view, answer)
    assert found.item[3][0] == (
        "Heat (Crime). A quiet story for people who like the sea and the long way home, told with warmth. sea."
    )
    item = next(a.prompt for a in calls if a.prompt.form == "when")
    assert item.text.endswith('and on what goes with it.\n\n{"summary": "')
    assert item.prefix(1).split("\n\n")[1:] == ['Title: "Toy Story"', item.ask], (
        "evidence is dropped before the request"
    )
