"""Prepared tables: hand-written ones, and the real ones where PTE_DATA says where they are."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from pte.dataset.prepared import Prepared
from pte.dataset.rules import Rules
from pte.protocol.facts import check
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import InputError


def prepared(data, folder="Toys", *, expect=None, rules=None):
    return Prepared(name=folder, data=data, folder=folder, licence="l", expect=expect, rules=rules or Rules())


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "Toys"
    folder.mkdir()
    rows = "user_id,item_id,position,timestamp\n1,2,1,86400\n1,1,0,86400\n2,2,0,\n"
    items = "item_id,asin,title,brand,categories,description\n1,B01,Kite,,A > B,\n2,B02,,,A > C,\n"
    (folder / "interactions.csv.gz").write_bytes(gzip.compress(rows.encode()))
    (folder / "items.csv.gz").write_bytes(gzip.compress(items.encode()))
    return tmp_path


def test_reads_in_the_order_of_position(tables):
    made = prepared(str(tables)).read()
    assert made.item.tolist() == [1, 2, 2]
    assert made.time.tolist() == [86400, 86400, -1]
    assert made.items.title == ["", "Kite", "A > C"]  # the untitled one by its category
    assert made.items.text == {"categories": ["", "A > B", "A > C"]}  # no item code, no empty columns


def test_no_folder_says_what_to_set():
    with pytest.raises(InputError, match=r"Set PTE_DATA .*Toys/interactions.csv.gz and Toys/items.csv.gz"):
        prepared(None).fingerprint()


def test_a_missing_file_is_named(tables):
    (tables / "Toys" / "items.csv.gz").unlink()
    with pytest.raises(InputError, match=r"no file .*items\.csv\.gz"):
        prepared(str(tables)).read()


def test_other_counts_than_published_are_refused(tables):
    with pytest.raises(InputError, match="2 users where 19,412 are published"):
        prepared(str(tables), expect={"users": 19412}).read()


def real(folder, users, items, interactions):
    data = os.environ.get("PTE_DATA")
    if not data or not (Path(data) / folder).is_dir():
        pytest.skip(f"PTE_DATA has no {folder}")
    expect = {"users": users, "items": items, "interactions": interactions}
    return prepared(data, folder, expect=expect)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "users", "items", "interactions", "tied"),
    [
        ("Toys", 19412, 11924, 167597, 0.491),  # counts: S3-Rec, P5, AlphaFuse; ties: the tables' README
        ("Sports", 35598, 18357, 296337, 0.452),
        ("Yelp", 30431, 20033, 316354, None),
        ("MovieLens-latest-small", 610, 9724, 100836, None),
    ],
)
def test_real_tables_have_the_published_counts(folder, users, items, interactions, tied):
    made = real(folder, users, items, interactions).read()
    assert (made.num_users, made.num_items, len(made.user)) == (users, items, interactions)
    if tied:
        assert made.card["tied_last_pairs"] == pytest.approx(tied, abs=5e-4)
    if folder == "Yelp":
        assert made.card["repeated_pairs"] == 11830
    split = LeaveOneOut()(made)
    check(made, split)
    assert len(split.test.target) == users


@pytest.mark.real_data
def test_real_toys_rows_equal_a_plain_reading():
    made = real("Toys", 19412, 11924, 167597).read()
    with gzip.open(Path(os.environ["PTE_DATA"]) / "Toys" / "interactions.csv.gz", "rt") as file:
        next(file)
        plain = [line.rstrip("\n").split(",") for line in file]
    plain.sort(key=lambda row: (int(row[0]), int(row[2])))
    assert [made.user_id[u] for u in made.user] == [row[0] for row in plain]
    assert [made.items.item_id[i] for i in made.item] == [row[1] for row in plain]
    assert made.time.tolist() == [int(row[3] or -1) for row in plain]
    assert (np.diff(made.start) >= 5).all()
