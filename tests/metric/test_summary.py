"""Flat figures from ranks: hand arithmetic, empty groups, and the invariants that catch impossible tables."""

import math

import numpy as np
import pytest

from pte.metric.summary import check_invariants, groups, summarise, values


def test_groups_by_hand():
    ranks = {"masked": np.array([0, 3, 60]), "unmasked": np.array([1, 4, 60])}
    groups = {"all": np.ones(3, bool), "tail_items": np.array([False, True, True]), "none": np.zeros(3, bool)}
    flat = summarise(ranks, groups)
    assert flat["masked/all/n"] == 3
    assert flat["masked/all/NDCG@5"] == pytest.approx((1 + 1 / math.log2(5)) / 3)
    assert flat["unmasked/all/MRR@5"] == pytest.approx((1 / 2 + 1 / 5) / 3)
    assert flat["masked/tail_items/Hit@50"] == 0.5
    assert flat["masked/none/n"] == 0
    assert "masked/none/Hit@5" not in flat
    check_invariants(flat)


def test_unknown_metric():
    with pytest.raises(ValueError, match="known: Hit"):
        values("AUC", np.array([1]), 5)


def test_invariants_hold_for_any_ranks():
    rank = np.random.default_rng(0).integers(0, 80, 500)
    check_invariants(summarise({"masked": rank}, {"all": np.ones(500, bool)}))


@pytest.mark.parametrize(
    ("flat", "word"),
    [
        ({"a/MRR@10": 0.0145, "a/MRR@20": 0.0137}, "falls"),
        ({"a/Hit@10": 0.1, "a/NDCG@10": 0.2}, "exceeds"),
        ({"a/NDCG@10": 0.1, "a/MRR@10": 0.2}, "exceeds"),
    ],
)
def test_impossible_tables_are_caught(flat, word):
    with pytest.raises(AssertionError, match=word):
        check_invariants(flat)


@pytest.mark.parametrize("missing", ["user", "tied", "head_item", "head_user"])
def test_groups_are_not_left_out_in_silence(missing):
    case = {name: np.array([True, False]) for name in ("user", "tied", "head_item", "head_user")}
    assert list(groups(case)) == ["all", "untied", "head_items", "tail_items", "head_users", "tail_users"]
    assert "llm_esr_tail_items" in groups(case | {"llm_esr_head_item": np.array([True, False])})
    del case[missing]
    with pytest.raises(KeyError, match=missing):
        groups(case)
