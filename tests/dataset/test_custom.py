"""A user's own tables, as users have them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pte.dataset.custom import Custom
from pte.dataset.rules import Rules
from pte.schema import InputError

ITEMS = "item_id,title,brand\nA1,Kite,Sky\nA2,Drone,\nA3,Ball,Round\n"


@pytest.fixture
def custom(tmp_path):
    """custom(interactions rows, item rows, **knobs): the data set over files with these contents."""

    def make(rows: str, item_rows: str = ITEMS, *, suffix: str = ".csv", **knobs) -> Custom:
        paths = {"interactions": tmp_path / f"i{suffix}", "items": tmp_path / "items.csv"}
        paths["interactions"].write_text(rows)
        paths["items"].write_text(item_rows)
        given = {
            "name": "mine",
            "licence": "mine",
            **{role: str(path) for role, path in paths.items()},
            "user_id": "user_id",
            "item_id": "item_id",
            "timestamp": "timestamp",
            "position": None,
            "item_key": "item_id",
            "title": "title",
            "text": None,
            "rules": Rules(),
        }
        return Custom(**given | knobs)

    return make


def items_of(interactions):
    return [interactions.items.item_id[i] for i in interactions.item]


def test_times_order_the_rows(custom):
    made = custom("user_id,item_id,timestamp\nu,A2,2020-01-02\nu,A1,2020-01-01\nu,A3,2020-01-03\n").read()
    assert items_of(made) == ["A1", "A2", "A3"]
    assert made.items.text == {"brand": ["", "Sky", "", "Round"]}


def test_position_orders_the_rows_and_needs_no_time(custom):
    made = custom(
        "who\twhat\tn\nu\tA2\t1\nu\tA1\t0\n", suffix=".tsv", user_id="who", item_id="what", timestamp=None, position="n"
    ).read()
    assert items_of(made) == ["A1", "A2"]
    assert (made.time == -1).all()


def test_text_columns_may_be_selected(custom):
    items = "id,name,brand,price\nA1,Kite,Sky,3\n"
    made = custom("user_id,item_id,timestamp\nu,A1,5\n", items, item_key="id", title="name", text=["price"]).read()
    assert made.items.text == {"price": ["", "3"]}
    with pytest.raises(InputError, match=r"no column 'colour'.*dataset.text"):
        custom("user_id,item_id,timestamp\nu,A1,5\n", items, item_key="id", title="name", text=["colour"]).read()


def test_a_history_of_length_one(custom):
    made = custom("user_id,item_id,timestamp\nu,A1,5\n").read()
    assert made.num_users == 1
    assert made.card["users_below_3"] == 1


def test_an_items_file_without_titles(custom):
    with pytest.raises(InputError, match=r"no column 'title'. It has: item_id, brand.*dataset.title=COLUMN"):
        custom("user_id,item_id,timestamp\nu,A1,5\n", "item_id,brand\nA1,Sky\n").read()


def test_a_missing_time_column_says_what_to_type(custom):
    with pytest.raises(InputError, match=r"no column 'timestamp'.*dataset.position=COLUMN"):
        custom("user_id,item_id,when\nu,A1,5\n").read()


def test_rows_with_too_many_fields_follow_the_rule_for_malformed_ones(custom):
    text = "user_id,item_id,timestamp\nu,A1,5\nu,A2,6,oops\n"
    with pytest.raises(InputError, match="data row 2"):
        custom(text).read()
    made = custom(text, rules=Rules(malformed="drop")).read()
    assert items_of(made) == ["A1"]
    assert made.card["counted"]["malformed rows dropped"] == 1


@pytest.mark.parametrize("missing", ["interactions", "items"])
def test_without_paths_it_says_what_to_type(custom, missing):
    with pytest.raises(InputError, match=r"dataset\.interactions=PATH"):
        custom("", **{missing: None})


def test_without_an_order(custom):
    with pytest.raises(InputError, match=r"dataset\.position=COLUMN"):
        custom("", timestamp=None)


def test_no_such_file(custom):
    with pytest.raises(InputError, match="no file or folder"):
        custom("", interactions="/nowhere/x.csv").fingerprint()


def test_fingerprint_follows_content_and_not_place(custom, tmp_path):
    text = "user_id,item_id,timestamp\nu,A1,5\n"
    data = custom(text)
    before = data.fingerprint()
    (tmp_path / "sub").mkdir()
    (tmp_path / "i.csv").rename(tmp_path / "sub" / "renamed.csv")
    assert custom(text, interactions=str(tmp_path / "sub" / "renamed.csv")).fingerprint() == before
    assert custom(text + "u,A2,6\n").fingerprint() != before
    assert custom(text, suffix=".tsv").fingerprint() != before  # the same bytes, read another way


def test_integer_and_text_ids_are_the_same_ids(custom, tmp_path):
    events = {"user_id": [7, 7], "item_id": [1.0, 2.0], "timestamp": [1, 2]}
    pl.DataFrame(events).write_parquet(tmp_path / "e.parquet")
    made = custom("", "item_id,title\n1,Kite\n2,Ball\n", interactions=str(tmp_path / "e.parquet")).read()
    assert made.user_id == ["7"]
    assert items_of(made) == ["1", "2"]


def test_two_hundred_thousand_shuffled_rows_with_duplicates(custom, tmp_path):
    random = np.random.default_rng(0)
    user, item = random.integers(0, 10_000, 200_000), random.integers(0, 5_000, 200_000)
    when = random.integers(10**9, 16 * 10**8, 200_000)
    twice = random.choice(200_000, 5_000, replace=False)
    rows = random.permutation(np.concatenate([np.arange(200_000), twice]))
    pl.DataFrame(
        {
            "user_id": [f"user-{u}" for u in user[rows]],
            "item_id": [f"item/{i}" for i in item[rows]],
            "timestamp": when[rows],
        }
    ).write_csv(tmp_path / "big.csv")
    items = pl.DataFrame(
        {"item_id": [f"item/{i}" for i in range(5_000)], "title": [f"Thing {i}" for i in range(5_000)]}
    )
    items.write_csv(tmp_path / "things.csv")
    data = custom("", interactions=str(tmp_path / "big.csv"), items=str(tmp_path / "things.csv"))
    made = data.read()
    exact = len(np.unique(np.stack([user, item, when]), axis=1)[0])
    assert len(made.user) == exact
    assert made.card["counted"]["exact duplicate rows dropped"] == 205_000 - exact
    assert (np.diff(made.user) >= 0).all()
    same = made.user[1:] == made.user[:-1]
    assert (np.diff(made.time)[same] >= 0).all()
