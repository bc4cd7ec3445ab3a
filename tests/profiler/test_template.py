"""Profiles by form: what they state, that they differ, and that nothing hidden is in them."""

import numpy as np
import pytest

from pte.profiler.loop.closed_loop import NOBODY
from pte.profiler.none import MetadataProfiler
from pte.profiler.template import ITEM_FORMS, USER_FORMS, TemplateProfiler
from pte.schema import InputError, Items, View, visible_view


def template(**changes) -> TemplateProfiler:
    values = {"num_candidates": 4, "item_forms": ITEM_FORMS, "user_forms": USER_FORMS, "titles": 5}
    return TemplateProfiler(**values | changes)


@pytest.fixture
def found(twelve, twelve_split):
    return template().rebuild(visible_view(twelve, twelve_split), [])


def test_an_item_by_hand(found):
    """Visible: ann 1 2, bob 2 3, cy 1 2, dee 3. Kinds beside film 2: log(3 * 13 / (6 * 6)) * 3 / 8 for Action,
    log(2 * 13 / (6 * 4)) * 2 / 7 for Animation, less than nothing for Crime."""
    assert found.item[2] == [
        "GoldenEye (Action).\nOften chosen with: Toy Story; Heat",
        "GoldenEye (Action).\nChosen before it: Toy Story\nChosen after it: Heat",
        "GoldenEye (Action).\nPeople who chose it like: Action; Animation",
        "GoldenEye. Action. 1995.",
    ]


def test_a_person_by_hand(found):
    assert found.user[3] == [
        "Recently chose: Heat",
        "Mostly: Crime\nRecently chose: Heat",
        "Recently chose: Heat\nSimilar people also chose: GoldenEye",
        "Recently chose: Heat\nOften chosen with these: GoldenEye",
    ]
    assert found.user[1][0] == "Recently chose: Heat; GoldenEye", "latest first; Toy Story and Fargo are held out"


def test_shape(found):
    assert [len(found.user), len(found.item), found.num_candidates] == [4, 7, 4]
    assert len(found.generations) == 4 * (4 + 6)
    assert found.item[0] == [""] * 4


def test_more_candidates_than_forms_go_deeper():
    names = ["", *(f"film {i}" for i in range(1, 30))]
    view = View(np.zeros(29, np.int32), np.arange(1, 30, dtype=np.int32), 1, Items(names, names, {}))
    found = template(num_candidates=8, titles=3).rebuild(view, [])
    assert found.user[0][0] == "Recently chose: film 29; film 28; film 27"
    assert found.user[0][4] == "Recently chose: film 26; film 25; film 24"
    assert found.item[15][0] != found.item[15][4]


def test_hidden_rows_change_nothing(twelve, twelve_split):
    """Exchanging the items of rows that are not visible leaves every text as it was."""
    view = visible_view(twelve, twelve_split)
    hidden = ~twelve_split.visible
    item = twelve.item.copy()
    item[hidden] = item[hidden][::-1]
    again = View(twelve.user[~hidden], item[~hidden], 4, twelve.items)
    assert template().rebuild(again, []) == template().rebuild(view, [])


def test_someone_without_rows_is_nobody():
    view = View(np.zeros(0, np.int32), np.zeros(0, np.int32), 2, Items(["", "a"], ["", "Heat"], {}))
    assert template().rebuild(view, []).user == [[NOBODY] * 4] * 2
    assert template().rebuild(view, []).item[1][0] == "Heat."
    assert MetadataProfiler(num_candidates=1, titles=3).rebuild(view, []).user == [[NOBODY]] * 2


def test_plain_metadata(twelve, twelve_split):
    found = MetadataProfiler(num_candidates=1, titles=1).profile(visible_view(twelve, twelve_split), log=None)
    assert found.item[1] == ["Toy Story. Animation. 1995."]
    assert found.user[0] == ["Recently chose: GoldenEye"]
    assert found.num_candidates == 1


@pytest.mark.parametrize("wrong", [{"num_candidates": 0}, {"titles": 0}, {"item_forms": ["x"]}, {"user_forms": []}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="profiler"):
        template(**wrong)


def test_plain_metadata_has_one_candidate():
    with pytest.raises(InputError, match=r"type profiler\.num_candidates=1"):
        MetadataProfiler(num_candidates=4, titles=3)


def test_every_one_of_thousands_has_all_candidates():
    """5,000 people with 8 choices of 3,000 items."""
    generator = np.random.default_rng(0)
    names = ["", *(f"item {i}" for i in range(1, 3001))]
    kinds = ["", *(f"A > kind {i % 50} > leaf {i % 7}" for i in range(1, 3001))]
    user = np.repeat(np.arange(5000), 8).astype(np.int32)
    view = View(
        user, generator.integers(1, 3001, 40_000).astype(np.int32), 5000, Items(names, names, {"categories": kinds})
    )
    made = template().rebuild(view, [])
    assert (len(made.user), len(made.item)) == (5000, 3001)
    assert all(len(group) == 4 and all(group) for group in made.user + made.item[1:])
