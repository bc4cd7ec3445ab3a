"""The closed loop played with answers that say which prompt they answer."""

import numpy as np
import pytest

from pte.artifact import digest
from pte.profiler.auto import Auto
from pte.profiler.base import Completion
from pte.profiler.loop.account import account, facts
from pte.profiler.loop.closed_loop import NOBODY, Leg, Loop, central, count_generations, legs, run_loop, workload
from pte.profiler.loop.draft import Stored
from pte.profiler.prompt import Evidence
from pte.schema import InputError, Items, View, visible_view

SORRY = Completion("I'm sorry, but no.", 5)


def make_loop(**changes) -> Loop:
    values = {
        "num_candidates": 2,
        "rounds": 2,
        "item_forms": ["what", "who"],
        "user_forms": ["taste", "alone"],
        "temperatures": [0.5, 0.9],
        "evidence": Evidence(),
    }
    return Loop(**values | changes)


@pytest.fixture
def view(twelve, twelve_split) -> View:
    return visible_view(twelve, twelve_split)


def numbered(calls: list):
    """Answers "thing number <leg> <place>", to equal questions equally, and keeps what was asked."""
    known: dict = {}

    def answer(queries):
        calls.append(list(queries))
        return [known.setdefault(a, Completion(f" thing number {len(calls)} {i}.", 5)) for i, a in enumerate(queries)]

    return answer


def test_legs_of_one_two_and_three_rounds():
    assert legs(1, 4) == [Leg("item", 0, 4), Leg("user", 0, 4)]
    assert legs(2, 4) == [Leg("item", 0, 1), Leg("user", 1, 4), Leg("item", 1, 4)]
    assert [(leg.side, leg.round, leg.drafts) for leg in legs(3, 4)] == [
        ("item", 0, 1), ("user", 1, 1), ("item", 1, 1), ("user", 2, 4), ("item", 2, 4),
    ]  # fmt: skip


@pytest.mark.parametrize("rounds", [1, 2, 3, 4])
def test_the_count_is_what_is_requested(view, rounds):
    calls: list = []
    make_loop(rounds=rounds).run(view, numbered(calls))
    count = sum(map(len, calls))
    assert count == count_generations(4, 6, 2, rounds)
    assert workload(make_loop(rounds=rounds), view).completions == count
    prefixes = [{(a.prompt.instruction, a.prompt.data) for a in leg} for leg in calls]
    at_most = workload(make_loop(rounds=rounds), view).prompts
    assert at_most - 4 <= sum(map(len, prefixes)) <= at_most  # ann and cy show the same two films


@pytest.mark.parametrize("portion", range(1, 8))
def test_portions_and_files_change_no_profile(view, tmp_path, portion):
    """4 people and 6 items, so many at a time, noted down in memory or in files: as all of them at once."""

    def answer(queries):
        names = (digest([a.prompt.text, a.candidate, a.temperature])[:8] for a in queries)
        return [Completion(f" thing {name} for the house.", 5) for name in names]

    loop = make_loop(rounds=3, retries=1)
    whole = loop.run(view, answer)
    assert len(whole.generations) == 6 + 4 + 6 + 2 * (4 + 6)
    assert loop.run(view, answer, portion=portion) == whole
    assert loop.run(view, answer, portion=portion, out=tmp_path) == whole


def test_each_side_reads_the_others_last_texts(view):
    calls: list = []
    make_loop(rounds=3).run(view, numbered(calls))
    first_users, last_items = calls[1], calls[4]
    assert ": thing number 1 1" in first_users[0].prompt.data, "people are read through round 0's items"
    assert "- Action, Animation; thing number 4 0." in last_items[0].prompt.data, "items meet people of the same round"
    assert ": thing number 3" in calls[3][0].prompt.data, "people are read again through round 1's items"


def test_a_person_reaches_only_what_that_person_chose(view):
    """Profiles of people act through items: dee (film 3) is cited by film 3 alone."""
    calls: list = []
    make_loop().run(view, numbered(calls))
    dee = next(i for i, a in enumerate(calls[1]) if a.prompt.data.count('- "') == 1)
    citing = [a.prompt.data.split("\n")[0] for a in calls[2] if f"thing number 2 {dee}." in a.prompt.data]
    assert set(citing) == {'Title: "Heat"'}


def test_profiles_open_with_facts(view):
    found = make_loop().run(view, numbered([]))
    assert found.item[3][0].startswith("Heat (Crime). This is thing number 3")
    assert found.item[3][1].startswith("Heat (Crime). It suits people who like thing number 3")
    assert found.user[3][0].startswith("Mostly Crime. Their choices show a taste for thing number 2")
    assert found.item[0] == ["", ""]


def test_candidates_take_forms_and_temperatures_in_turn(view):
    found = make_loop(num_candidates=3).run(view, numbered([]))
    last = [g for g in found.generations if g.side == "item" and g.round == 1 and g.entity == 1]
    assert [(g.candidate, g.form, g.temperature) for g in last] == [(0, "what", 0.5), (1, "who", 0.9), (2, "what", 0.5)]


def test_an_unusable_answer_falls_back_and_is_counted(view):
    def answer(queries):
        heat = [a.prompt.data.startswith('Title: "Heat"') and a.candidate == 0 for a in queries]
        return [Completion("" if h else " a good thing.", 5) for h in heat]

    found = make_loop().run(view, answer)
    heat = [g for g in found.generations if g.side == "item" and g.entity == 3]
    assert [(g.round, g.parsed, g.text) for g in heat] == [
        (0, False, "Heat (Crime)."),
        (1, False, "Heat (Crime)."),
        (1, True, "Heat (Crime). It suits people who like a good thing."),
    ]
    assert account(found)[0].startswith("profiles: 2 of 26 completions were unusable")


def test_a_failure_in_a_later_round_keeps_the_earlier_text(view):
    def answer(queries):
        late = any(a.prompt.data.startswith("Title:") and "a good thing" in a.prompt.data for a in queries)
        return [Completion("" if late else " a good thing.", 5) for _ in queries]

    found = make_loop().run(view, answer)
    assert set(found.item[3]) == {"Heat (Crime). This is a good thing."}
    assert account(found)[1].startswith("profiles: 10 of 20 candidates repeat")


def test_someone_without_rows_is_nobody():
    items = Items(["", "a"], ["", "Heat"], {})
    view = View(np.array([1], np.int32), np.array([1], np.int32), 3, items)
    calls: list = []
    found = make_loop().run(view, numbered(calls))
    assert found.user[0] == found.user[2] == [NOBODY, NOBODY]
    assert sum(map(len, calls)) == 1 + 2 + 2
    assert workload(make_loop(), view).completions == 5


def test_stored_completions_lead_to_the_same_profiles(view):
    loop = make_loop(rounds=3)
    found = loop.run(view, numbered([]))
    assert loop.run(view, Stored(found.generations)) == found


def test_the_sample_is_of_both_sides_and_as_long_as_later_prompts(view):
    sample = workload(make_loop(), view).sample()
    assert {a.candidate for a in sample} == {0, 1}
    assert len(sample) == 2 * (6 + 4)
    assert sum("stories with warmth" in a.prompt.data for a in sample) > 10


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"num_candidates": 0}, {"item_forms": []}, {"temperatures": []}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="profiler"):
        make_loop(**wrong)


def test_auto_follows_a_fixed_rule():
    auto = Auto(limit=100, num_candidates=1, rounds=1)  # a generation for each user and each item
    assert auto.choose(40, 60, accelerator=False).option == "transformers"
    assert auto.choose(41, 60, accelerator=False).option == "template"
    assert auto.choose(10**9, 60, accelerator=True).option == "transformers"
    assert "NO LANGUAGE MODEL" in auto.choose(41, 60, accelerator=False).sentence
    assert count_generations(19_412, 11_924, 4, 2) == 11_924 + 4 * (19_412 + 11_924)


def test_nothing_usable_is_refused_with_the_first_completion(view):
    with pytest.raises(InputError, match=r"none of 26 completions was usable; the first: \"I'm sorry"):
        run_loop(make_loop(), view, lambda queries: [SORRY] * len(queries))


def test_the_unusable_share_is_counted(view):
    found = make_loop().run(view, lambda queries: [SORRY, *[Completion(" a good thing.", 5)] * (len(queries) - 1)])
    counted = facts(found)
    assert (counted["completions"], counted["unusable"], counted["refused"], counted["cut"]) == (26, 3, 3, 0)
    assert counted["unusable_share"] == counted["refused_share"] == 3 / 26
    assert (counted["fallback"], counted["fallback_share"]) == (2, 2 / 20), "of the candidates; round 0 drafts apart"


def test_a_completion_cut_at_the_limit_ends_at_its_last_whole_sentence_and_is_counted(view):
    """Three cut ones: one with a whole sentence, one without, one filtered and not cut."""
    three = [
        Completion(" a slow film. It may be that", 40, "length"),
        Completion(" a slow film that never", 40, "length"),
        Completion("", 0, "content_filter"),
    ]
    found = make_loop().run(view, lambda queries: [*three, *[Completion(" a good thing.", 5)] * (len(queries) - 3)])
    first = [g for g in found.generations if g.side == "item" and g.round == 0][:3]
    assert first[0].text.endswith("This is a slow film.")
    assert [g.parsed for g in first] == [True, False, False]
    assert [g.finish for g in first] == ["length", "length", "content_filter"]
    counted = facts(found)
    assert (counted["cut"], counted["refused"], counted["unusable"]) == (2 * 3, 3, 6)
    assert counted["cut_share"] == 6 / 26
    assert counted["cut_used"] == 3
    assert "3 others were cut at the token limit" in account(found)[0]


def test_neighbours_profiles_are_cited_from_the_first_round_on(view):
    """Before a side has profiles its facts stand in; afterwards its last texts do, whole."""
    calls: list = []
    make_loop(evidence=Evidence(brief=400)).run(view, numbered(calls))
    items, users, last = ([a.prompt.data for a in leg] for leg in calls)
    heat = next(text for text in items if text.startswith('Title: "Heat"'))
    assert "People who chose it:\n- Action, Crime; chose 'Heat', 'GoldenEye'\n- Crime; chose 'Heat'\n" in heat
    assert any('Often chosen with it:\n- "' in text for text in items)
    alike = [text.split("People with similar choices:\n")[1] for text in users if "similar choices:" in text]
    assert alike
    assert all("; chose '" in text for text in alike)
    companions = [text.split("Often chosen with it:\n")[1] for text in last if "Often chosen with it:" in text]
    assert companions
    assert all(": thing number 1 " in text for text in companions), "the texts of the round before"


def test_the_most_central_candidate_is_cited(view):
    """Of three answers two agree in most words; neither is the first."""
    assert central(["a love of noise", "a taste for quiet trains", "a taste for slow trains"]) == 1
    assert central(["a", "b"]) == 0
    words = ("noise and smoke.", "quiet old trains.", "quiet slow trains.")
    calls: list = []

    def answer(queries):
        calls.append(queries)
        return [Completion(f" {words[a.candidate]}", 5) for a in queries]

    make_loop(num_candidates=3, user_forms=["taste"]).run(view, answer)
    people = [a.prompt.data.split("Often chosen")[0] for a in calls[2]]
    assert any("quiet old trains" in text for text in people)
    assert not any("noise" in text for text in people)
