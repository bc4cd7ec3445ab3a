"""The split stage saves what it loads, with and without rows set aside."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pte.protocol.facts import require_cases
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Cases, InputError, Split
from pte.schema.context import Context
from pte.stage import split as stage


def assert_same_split(one, other):
    assert (one.train == other.train).all()
    assert (one.visible == other.visible).all()
    for left, right in ((one.valid, other.valid), (one.test, other.test)):
        assert left.target.dtype == right.target.dtype
        for name in ("user", "target", "tied"):
            assert (getattr(left, name) == getattr(right, name)).all()
        assert (left.begin is None) == (right.begin is None)
        assert left.begin is None or (left.begin == right.begin).all()


def test_save_then_load(tmp_path, twelve_split):
    twelve_split.save(tmp_path)
    assert_same_split(Split.load(tmp_path), twelve_split)


def test_where_histories_begin_survives(tmp_path, twelve_split):
    cut = replace(twelve_split, test=replace(twelve_split.test, begin=np.array([2, 6], np.int64)))
    cut.save(tmp_path)
    assert_same_split(Split.load(tmp_path), cut)


def test_run_applies_the_protocol(tmp_path, twelve, caplog):
    parent, out = tmp_path / "interactions", tmp_path / "split"
    parent.mkdir()
    out.mkdir()
    twelve.save(parent)
    protocol = LeaveOneOut(withhold=1, min_visible=2)
    stage.run(
        Context(
            config={"protocol": {}},
            parents={"interactions": parent},
            out=out,
            work=tmp_path,
            build=lambda group: protocol,
            loggers=[],
        )
    )
    assert_same_split(Split.load(out), protocol(twelve))
    assert json.loads((out / "facts.json").read_text())["train_rows"] == 8
    assert "8 train rows (1 withheld" in caplog.messages[0]


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_split_without_cases_is_refused(twelve, twelve_split, part):
    none = Cases(user=np.zeros(0, np.int32), target=np.zeros(0, np.int64), tied=np.zeros(0, bool))
    with pytest.raises(InputError, match=r"no (validation|test) case: 4 users, the longest history has 5 rows"):
        require_cases(twelve, replace(twelve_split, **{part: none}))
    require_cases(twelve, twelve_split)


def test_a_split_without_training_rows_is_refused(twelve, twelve_split):
    with pytest.raises(InputError, match="no training row"):
        require_cases(twelve, replace(twelve_split, train=np.zeros(12, bool)))
