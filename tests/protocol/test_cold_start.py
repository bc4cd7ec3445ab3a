"""Cold-start users: by hand, by property, and against AlphaFuse's published counts on the real tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pte.dataset.prepared import Prepared
from pte.dataset.rules import Rules
from pte.protocol.cold_start import ColdStart
from pte.protocol.facts import check, describe, used_rows
from pte.schema import InputError, Interactions, Items


def interactions_of(length, seed=0):
    random = np.random.default_rng(seed)
    rows = int(np.sum(length))
    return Interactions(
        user=np.repeat(np.arange(len(length), dtype=np.int32), length),
        item=random.integers(1, 31, rows).astype(np.int32),
        time=np.arange(rows, dtype=np.int64),
        user_id=[str(u) for u in range(len(length))],
        items=Items([""] + [str(i) for i in range(30)], [""] + [f"t{i}" for i in range(30)], {}),
        card={},
    )


def test_every_prefix_by_hand():
    interactions = interactions_of([4, 4, 4])
    split = ColdStart(shares=(1, 1, 1), withhold=0, seed=0)(interactions)
    part = ColdStart(shares=(1, 1, 1), withhold=0, seed=0).parts(3)
    scored = int(np.flatnonzero(part == 2)[0])
    assert split.test.user.tolist() == [scored] * 3
    assert split.test.target.tolist() == [4 * scored + 1, 4 * scored + 2, 4 * scored + 3]
    assert split.test.begin is None
    assert split.train.sum() == 4
    assert interactions.user[split.train].tolist() == [int(np.flatnonzero(part == 0)[0])] * 4


def test_last_asks_each_user_once():
    interactions = interactions_of([1, 2, 5, 3, 4, 2] * 5)
    split = ColdStart(shares=(1, 1, 1), scoring="last")(interactions)
    assert len(np.unique(split.test.user)) == len(split.test.user)
    assert (split.test.target == interactions.start[split.test.user + 1] - 1).all()
    assert (np.diff(interactions.start)[split.test.user] >= 2).all()  # a single row has no history


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scoring", ["every_prefix", "last"])
@pytest.mark.parametrize("most", [None, 2, 5])
def test_promises_on_random_histories(seed, scoring, most):
    length = np.random.default_rng(seed).integers(1, 13, 50)
    interactions = interactions_of(length, seed)
    split = ColdStart(scoring=scoring, max_interactions=most, seed=seed)(interactions)
    check(interactions, split)
    trained = set(interactions.user[split.train])
    valid, test = set(split.valid.user), set(split.test.user)
    assert not trained & valid
    assert not trained & test
    assert not valid & test
    assert len(trained) == 40
    length_read = np.minimum(length, most or 99)
    facts = describe(interactions, split)
    assert facts["train_rows"] == sum(length_read[u] for u in trained)
    part = ColdStart(seed=seed).parts(50)
    prefixes = np.where(length_read >= 2, length_read - 1 if scoring == "every_prefix" else 1, 0)
    assert facts["test_cases"] == prefixes[part == 2].sum()
    assert facts["valid_cases"] == prefixes[part == 1].sum()
    assert facts["empty_prefixes"] == 10
    assert facts["unscored_users"] == (length_read[part > 0] == 1).sum()
    begin = split.test.history_begin(interactions)
    assert (split.test.target - begin < length_read[split.test.user]).all()
    assert (begin >= interactions.start[split.test.user]).all()
    scored = length_read.copy()
    scored[(part > 0) & (length_read < 2)] = 0
    assert used_rows(interactions, split).sum() == scored.sum()


def test_seed_decides_who_is_scored():
    assert (ColdStart(seed=0).parts(100) == ColdStart(seed=0).parts(100)).all()
    assert (ColdStart(seed=0).parts(100) != ColdStart(seed=1).parts(100)).any()
    assert np.bincount(ColdStart().parts(19412)).tolist() == [15530, 1941, 1941]


@pytest.mark.parametrize(
    "knobs", [{"shares": (1, 1)}, {"shares": (1, 0, 1)}, {"scoring": "first"}, {"max_interactions": 1}]
)
def test_impossible_settings_are_refused(knobs):
    with pytest.raises(InputError, match=r"protocol\."):
        ColdStart(**knobs)


def test_too_few_users_are_refused(twelve):
    with pytest.raises(InputError, match="leave no user to evaluate"):
        ColdStart()(twelve)


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "rows"), [("Toys", 138_444), ("Sports", 256_598)])
def test_eleven_interactions_rebuild_alphafuse(folder, rows):
    data = os.environ.get("PTE_DATA")
    if not data or not (Path(data) / folder).is_dir():
        pytest.skip(f"PTE_DATA has no {folder}")
    interactions = Prepared(name=folder, data=data, folder=folder, licence="", expect=None, rules=Rules()).read()
    for scoring in ("every_prefix", "last"):
        split = ColdStart(scoring=scoring, max_interactions=11)(interactions)
        check(interactions, split)
        facts = describe(interactions, split)
        assert facts["rows_used"] == rows
        assert facts["test_users"] == len(interactions.user_id) // 10
    used = used_rows(interactions, split)
    distinct = len(np.unique(interactions.item[used]))
    assert distinct == {"Toys": 11_921, "Sports": 18_357}[folder]  # counted independently when the tables were made


def file_of(folder, rows, name="users.csv"):
    (folder / name).write_text("user_id,part\n" + "".join(f"{user},{part}\n" for user, part in rows), encoding="utf-8")
    return str(folder / name)


def test_a_file_names_each_users_part(tmp_path):
    file = file_of(tmp_path, [("2", "train"), ("0", "test"), ("1", "valid"), ("3", "train")])
    split = ColdStart(scoring="last", file=file, withhold=0)(interactions_of([4, 4, 4, 4]))
    assert (split.test.user.tolist(), split.test.target.tolist()) == ([0], [3])
    assert (split.valid.user.tolist(), split.valid.target.tolist()) == ([1], [7])
    assert np.flatnonzero(split.train).tolist() == list(range(8, 16))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("0", "train"), ("1", "valid")], "1 of 3 users of the data are missing from it, such as '2'"),
        ([("0", "train"), ("1", "valid"), ("2", "test"), ("9", "test")], "1 of 4 ids in it are no users, such as '9'"),
        ([("0", "train"), ("1", "valid"), ("2", "test"), ("2", "train")], "user '2' has more than one row"),
        ([("0", "train"), ("1", "dev"), ("2", "test")], "part 'dev' is none of train, valid, test"),
        ([("0", "train"), ("1", "train"), ("2", "test")], "no user of the data is of part valid"),
        ([("0", ""), ("1", "valid"), ("2", "test")], "part None is none of train"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, rows, words):
    with pytest.raises(InputError, match=words):
        ColdStart(file=file_of(tmp_path, rows))(interactions_of([4, 4, 4]))


def test_a_file_made_for_more_users_is_taken_on_request(tmp_path):
    file = file_of(tmp_path, [("0", "train"), ("1", "valid"), ("2", "test"), ("9", "test")])
    assert len(ColdStart(scoring="last", file=file, unknown_share=0.25)(interactions_of([4, 4, 4])).test.user) == 1


def test_a_file_that_is_not_there_is_reported_before_any_work():
    with pytest.raises(InputError, match=r"protocol.file=nowhere.csv: there is no such file"):
        ColdStart(file="nowhere.csv")
