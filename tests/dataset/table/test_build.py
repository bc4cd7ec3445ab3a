"""Every rule of the table reader by hand: what is dropped, kept, mended, counted, refused, and in which order."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pte.dataset.reader.source import interaction_rows, item_rows
from pte.dataset.rules import Rules
from pte.dataset.table.build import UNTITLED, Source, build
from pte.dataset.table.filter import cut, k_core
from pte.schema import InputError

SOURCE = Source(name="toy", licence="none", sha256={"interactions": "0" * 64})
ITEMS = {"item_id": ["a", "b", "c"], "title": ["Apple", "Bread", "Cheese"], "kind": ["fruit", "", "dairy"]}


def made(events, items=None, *, rules=None, source=SOURCE):
    """events: (user, item, time) texts."""
    frame = pl.DataFrame(events, schema=["u", "i", "t"], orient="row").cast(pl.String)
    things = pl.DataFrame(items or ITEMS, schema_overrides={"kind": pl.String})
    return build(
        interaction_rows(frame, user_id="u", item_id="i", position=None, timestamp="t"),
        item_rows(things, item_id="item_id", title="title", columns=["kind"]),
        rules=rules or Rules(),
        source=source,
    )


def as_text(interactions):
    """Rows as (user id, item id, time)."""
    return [
        (interactions.user_id[u], interactions.items.item_id[i], int(t))
        for u, i, t in zip(interactions.user, interactions.item, interactions.time, strict=True)
    ]


def test_sorted_by_user_then_time():
    table = made([("u2", "a", 9), ("u1", "b", 5), ("u2", "c", 3), ("u1", "a", 1)])
    assert as_text(table) == [("u1", "a", 1), ("u1", "b", 5), ("u2", "c", 3), ("u2", "a", 9)]
    assert table.user.dtype == table.item.dtype == np.int32
    assert table.time.dtype == np.int64
    assert table.items.title == ["", "Apple", "Bread", "Cheese"]
    assert table.items.text == {"kind": ["", "fruit", "", "dairy"]}
    assert table.start.tolist() == [0, 2, 4]


def test_ids_sort_shorter_first_so_that_numbers_sort_as_numbers():
    table = made([("10", "a", 1), ("9", "a", 1), ("x", "a", 1)])
    assert table.user_id == ["9", "x", "10"]


def test_ties_keep_the_order_of_the_file():
    table = made([("u", "c", 7), ("u", "a", 7), ("u", "b", 7)])
    assert [row[1] for row in as_text(table)] == ["c", "a", "b"]
    assert table.card["tied_last_pairs"] == 1.0


def test_shuffled_rows_give_the_same_interactions():
    events = [(f"u{u}", "abc"[(u + k) % 3], 10 * u + k) for u in range(20) for k in range(5)]
    order = np.random.default_rng(0).permutation(len(events))
    assert as_text(made(events)) == as_text(made([events[k] for k in order]))


def test_exact_duplicates_go_repeats_stay():
    table = made([("u", "a", 1), ("u", "a", 1), ("u", "a", 2)])
    assert as_text(table) == [("u", "a", 1), ("u", "a", 2)]
    assert table.card["counted"]["exact duplicate rows dropped"] == 1
    assert table.card["repeated_pairs"] == 1


def test_position_decides_and_unknown_times_are_no_duplicates():
    frame = pl.DataFrame({"u": ["u"] * 3, "i": ["a", "a", "b"], "p": ["2", "1", "0"], "t": [None, None, "50"]})
    table = build(
        interaction_rows(frame, user_id="u", item_id="i", position="p", timestamp="t"),
        item_rows(pl.DataFrame(ITEMS), item_id="item_id", title="title", columns=[]),
        rules=Rules(),
        source=SOURCE,
    )
    assert as_text(table) == [("u", "b", 50), ("u", "a", -1), ("u", "a", -1)]
    assert table.card["times_known"] == 0.3333
    assert table.card["tied_last_pairs"] is None  # no user's last two times are known


@pytest.mark.parametrize("bad", [("", "a", 1), ("u", "", 1), ("u", "a", "soon"), ("u", "a", None)])
def test_malformed_rows_are_refused_by_number_or_dropped_and_counted(bad):
    events = [("u", "a", 1), bad, ("u", "b", 2)]
    with pytest.raises(InputError, match=r"1 malformed .* data row 2 .*malformed=drop"):
        made(events)
    table = made(events, rules=Rules(malformed="drop"))
    assert as_text(table) == [("u", "a", 1), ("u", "b", 2)]
    assert table.card["counted"]["malformed rows dropped"] == 1


def test_unknown_items_three_ways():
    events = [("u", "a", 1), ("u", "zz", 2), ("u", "b", 3)]
    with pytest.raises(InputError, match=r"1 item\(s\).*zz \(data row 2\)"):
        made(events)
    dropped = made(events, rules=Rules(unknown_item="drop"))
    assert [row[1] for row in as_text(dropped)] == ["a", "b"]
    assert dropped.card["counted"]["rows of unknown items dropped"] == 1
    stored = made(events, rules=Rules(unknown_item="placeholder"))
    assert [row[1] for row in as_text(stored)] == ["a", "zz", "b"]
    assert stored.items.title[stored.items.item_id.index("zz")] == UNTITLED


def test_untitled_items_three_ways():
    items = {**ITEMS, "title": ["Apple", "", " "], "kind": ["fruit", "", "dairy"]}
    events = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3)]
    table = made(events, items)
    assert table.items.title == ["", "Apple", UNTITLED, "dairy"]
    assert table.card["coverage"]["title"] == pytest.approx(1 / 3, abs=1e-4)
    assert table.card["counted"]["untitled items given their other text as title"] == 2
    with pytest.raises(InputError, match=r"2 item.*item_id b"):
        made(events, items, rules=Rules(untitled="error"))
    dropped = made(events, items, rules=Rules(untitled="drop"))
    assert as_text(dropped) == [("u", "a", 1)]
    with pytest.raises(InputError, match="no title at all"):
        made(events, {**ITEMS, "title": ["", "", ""]})


def test_unseen_items_drop_or_keep():
    events = [("u", "c", 1)]
    assert made(events).items.item_id == ["", "c"]
    assert made(events).card["counted"]["items without interactions left out"] == 2
    stored = made(events, rules=Rules(unseen_items="keep"))
    assert stored.items.item_id == ["", "a", "b", "c"]
    assert stored.item.tolist() == [3]


def test_blanks_in_texts_collapse_and_empty_columns_go():
    table = made([("u", "a", 1)], {"item_id": ["a"], "title": [" Big\n  Apple "], "kind": [""]})
    assert table.items.title == ["", "Big Apple"]
    assert table.items.text == {}


def test_repeated_item_rows_keep_the_first():
    items = {"item_id": ["a", "a"], "title": ["First", "Second"], "kind": ["", ""]}
    table = made([("u", "a", 1)], items)
    assert table.items.title == ["", "First"]
    assert table.card["counted"]["repeated item rows dropped (first kept)"] == 1


def test_k_core_is_iterated():
    # Pass 1 drops item 3 (once). Then user 2 has one row: pass 2. Then item 2 has one row: pass 3.
    user = np.array([0, 0, 1, 1, 2, 2, 0, 1])
    item = np.array([0, 1, 0, 1, 2, 3, 2, 1])
    keep = k_core(user, item, 2)
    assert keep.tolist() == [True, True, True, True, False, False, False, True]


def test_k_core_leaves_a_core_and_the_largest():
    random = np.random.default_rng(3)
    user, item = random.integers(0, 60, 400), random.integers(0, 50, 400)
    keep = k_core(user, item, 5)
    assert keep.any()
    for index in (user[keep], item[keep]):
        assert np.unique(index, return_counts=True)[1].min() >= 5
    rows = set(range(400))  # the definition, row by row
    while True:
        weak = {
            r for r in rows if sum(user[q] == user[r] for q in rows) < 5 or sum(item[q] == item[r] for q in rows) < 5
        }
        if not weak:
            break
        rows -= weak
    assert sorted(rows) == np.flatnonzero(keep).tolist()


def test_min_length_after_k_core():
    events = [("u", "a", 1), ("v", "a", 1), ("v", "b", 2)]
    table = made(events, rules=Rules(min_length=2))
    assert table.user_id == ["v"]
    assert table.card["counted"]["users shorter than min_length dropped"] == 1


def test_cut_keeps_popular_items_then_draws_users():
    user = np.repeat(np.arange(10), 6)
    item = np.tile([0, 1, 2, 3, 4, 5], 10)
    item[item == 5] = np.arange(10) % 2 + 5  # items 5 and 6 half as popular
    rules = Rules(max_items=5, max_users=4, cut_length=5, cut_seed=1)
    keep = cut(user, item, np.ones(60, bool), rules)
    assert set(item[keep]) == {0, 1, 2, 3, 4}
    assert len(set(user[keep])) == 4
    assert (keep == cut(user, item, np.ones(60, bool), rules)).all()
    other = cut(user, item, np.ones(60, bool), Rules(max_items=5, max_users=4, cut_length=5, cut_seed=2))
    assert set(user[keep]) != set(user[other])


def test_the_cut_is_stated_and_ids_have_no_gaps():
    events = [(f"u{u}", "abc"[k], k) for u in range(8) for k in range(3 if u % 2 else 1)]
    table = made(events, rules=Rules(max_users=2, cut_length=3))
    assert table.num_users == 2
    assert set(table.user) == {0, 1}
    assert "2 of 8 users, drawn with seed 0" in table.card["cut"]


def test_published_counts_are_checked_before_any_rule():
    events = [("u", "a", 1), ("u", "b", 2), ("v", "a", 1)]
    expect = {"users": 2, "items": 2, "interactions": 3}
    source = Source(name="toy", licence="none", sha256={}, expect=expect)
    assert made(events, rules=Rules(min_length=2), source=source).num_users == 1
    with pytest.raises(InputError, match="2 interactions where 3 are published"):
        made(events[:2] + events[3:], source=Source(name="toy", licence="", sha256={}, expect={"interactions": 3}))


def test_nothing_left_says_why():
    with pytest.raises(InputError, match=r"rows outside the 5-core dropped: 1.*Loosen"):
        made([("u", "a", 1)], rules=Rules(k_core=5))


@pytest.mark.parametrize(
    "knobs", [{"untitled": "skip"}, {"k_core": 0}, {"max_users": 0}, {"unseen_items": "keep", "max_items": 3}]
)
def test_rules_refuse_what_they_do_not_know(knobs):
    with pytest.raises(InputError, match=r"dataset\.rules\."):
        Rules(**knobs)


def test_card_by_hand():
    table = made([("u", "a", 1), ("u", "b", 1), ("u", "a", 3), ("v", "c", 2)])
    card = table.card
    assert (card["users"], card["items"], card["interactions"]) == (2, 3, 4)
    assert card["density"] == pytest.approx(3 / 6)  # pairs: one met twice fills one cell
    assert card["length"] == {"min": 1, "max": 3, "mean": 2.0, "median": 2.0, "histogram": {"1": 1, "2": 0, "3-4": 1}}
    assert card["users_below_3"] == 1
    assert card["coverage"] == {"title": 1.0, "kind": pytest.approx(2 / 3, abs=1e-4)}
    assert card["repeated_pairs"] == 1
    assert card["tied_last_pairs"] == 0.0  # u's last two are at 1 and 3; v has one
