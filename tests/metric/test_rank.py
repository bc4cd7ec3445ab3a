"""Ranks against hand counts and a plain sort, and the rules of ties, masks and NaN."""

import numpy as np
import pytest
import torch

from pte.metric import rank
from pte.metric.rank import ranks
from pte.metric.summary import MISS, NAMES, values


def plain(scores, target, seen):
    """The definition, one case at a time."""
    masked, unmasked = [], []
    for s, t, h in zip(scores.tolist(), target.tolist(), seen.tolist(), strict=True):
        ahead = {j for j in range(1, len(s) + 1) if j != t and s[j - 1] >= s[t - 1]}
        unmasked.append(len(ahead))
        masked.append(MISS if t in h else len(ahead - set(h)))
    return masked, unmasked


def test_hand_count():
    scores = torch.tensor([[0.9, 0.5, 0.7, 0.1]])  # items 1, 3, 2, 4 from best to worst
    found = ranks(scores, torch.tensor([2]), torch.tensor([[1, 0]]))
    assert found.unmasked.tolist() == [2]  # items 1 and 3 are ahead of item 2
    assert found.masked.tolist() == [1]  # item 1 has been seen


def test_a_constant_scorer_puts_every_target_last():
    found = ranks(torch.zeros(3, 7), torch.tensor([1, 4, 7]), torch.zeros(3, 2, dtype=torch.int64))
    assert found.unmasked.tolist() == found.masked.tolist() == [6, 6, 6]


def test_minus_infinity_ties_are_pessimistic_too():
    found = ranks(torch.full((1, 5), -torch.inf), torch.tensor([3]), torch.tensor([[1]]))
    assert (found.unmasked.item(), found.masked.item()) == (4, 3)


def test_duplicates_in_the_history_count_once():
    found = ranks(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([2]), torch.tensor([[1, 1, 1, 0, 0]]))
    assert (found.unmasked.item(), found.masked.item()) == (1, 0)


def test_a_repeated_target_is_a_miss_where_seen_items_are_masked():
    """A scorer that knows only what the history holds would else put it first: its rivals are gone."""
    found = ranks(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([2]), torch.tensor([[2, 1]]))
    assert (found.unmasked.item(), found.masked.item()) == (1, MISS)
    assert all(values(name, found.masked.numpy(), 50).item() == 0 for name in NAMES)
    assert np.int32(MISS) == MISS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_agrees_with_the_definition_on_many_ties(dtype):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 6, (200, 30), generator=generator).to(dtype)
    target = torch.randint(1, 31, (200,), generator=generator)
    seen = torch.randint(0, 31, (200, 12), generator=generator)
    found = ranks(scores, target, seen)
    masked, unmasked = plain(scores, target, seen)
    assert found.masked.tolist() == masked
    assert found.unmasked.tolist() == unmasked


def test_relabelling_the_items_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(50, 20, generator=generator)
    target = torch.randint(1, 21, (50,), generator=generator)
    seen = torch.randint(0, 21, (50, 5), generator=generator)
    order = torch.randperm(20, generator=generator)
    name = torch.cat([torch.zeros(1, dtype=torch.int64), order.argsort() + 1])  # old id -> new id, 0 -> 0
    old, new = ranks(scores, target, seen), ranks(scores[:, order], name[target], name[seen])
    assert torch.equal(old.masked, new.masked)
    assert torch.equal(old.unmasked, new.unmasked)


def test_scores_are_left_as_they_were_and_nothing_seen_is_allowed():
    scores = torch.randn(2, 4, generator=torch.Generator().manual_seed(2))
    before = scores.clone()
    found = ranks(scores, torch.tensor([1, 2]), torch.zeros(2, 0, dtype=torch.int64))
    assert torch.equal(scores, before)
    assert torch.equal(found.masked, found.unmasked)
    assert found.masked.dtype == torch.int64


@pytest.mark.parametrize("lies", ["histories first", "items first"])
@pytest.mark.parametrize("flags", [1, 14, 15, 70, 2**17])
def test_any_columns_at_a_time_and_either_way_to_lie(lies, flags, monkeypatch):
    """1, 2, 2 and 10 of 31 columns at a time, and all."""
    monkeypatch.setitem(rank._FLAGS, "cpu", flags)
    generator = torch.Generator().manual_seed(3)
    scores = torch.randint(0, 9, (7, 31), generator=generator).float()
    target = torch.tensor([1, 31, 5, 10, 11, 20, 21])
    seen = torch.randint(0, 32, (7, 9), generator=generator)
    found = ranks(scores if lies == "histories first" else scores.T.contiguous().T, target, seen)
    masked, unmasked = plain(scores, target, seen)
    assert found.masked.tolist() == masked
    assert found.unmasked.tolist() == unmasked


def test_both_infinities_are_scores():
    scores = torch.tensor([[torch.inf, -torch.inf, 0.0], [torch.inf, torch.inf, -torch.inf]])
    found = ranks(scores, torch.tensor([3, 1]), torch.tensor([[1], [0]]))
    assert found.unmasked.tolist() == [1, 1]
    assert found.masked.tolist() == [0, 1]


@pytest.mark.parametrize("items_first", [False, True])
@pytest.mark.parametrize("place", [0, 6, 12])
def test_one_nan_anywhere_is_refused(items_first, place):
    """Among infinities too, in the target's own place (6) and elsewhere."""
    scores = torch.zeros(3, 13)
    scores[0, :2], scores[1, place] = torch.tensor([torch.inf, -torch.inf]), torch.nan
    scores = scores.T.contiguous().T if items_first else scores
    with pytest.raises(ValueError, match="1 of 39 scores are NaN"):
        ranks(scores, torch.tensor([7, 7, 7]), torch.zeros(3, 1, dtype=torch.int64))


def test_nan_is_refused_with_its_count():
    scores = torch.zeros(2, 3)
    scores[0, 1] = scores[1, 2] = torch.nan
    with pytest.raises(ValueError, match="2 of 6 scores are NaN"):
        ranks(scores, torch.tensor([1, 1]), torch.zeros(2, 1, dtype=torch.int64))


@pytest.mark.parametrize("target", [0, 4])
def test_a_target_outside_the_catalogue_is_refused(target):
    with pytest.raises(ValueError, match=r"items 1\.\.3"):
        ranks(torch.zeros(1, 3), torch.tensor([target]), torch.zeros(1, 1, dtype=torch.int64))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="expected scores"):
        ranks(torch.zeros(2, 3), torch.tensor([1]), torch.zeros(2, 1, dtype=torch.int64))


@pytest.mark.parametrize("num_items", [1022, 1023, 1024, 1025, 2047, 300_000])
def test_long_rows_are_counted_to_the_last_item(num_items):
    """However long a row is and wherever its target stands, every item is counted, and once."""
    scores = torch.zeros(2, num_items)
    found = ranks(scores, torch.tensor([1, num_items]), torch.tensor([[num_items, 2, 0], [3, 3, 0]]))
    assert found.unmasked.tolist() == [num_items - 1] * 2
    assert found.masked.tolist() == [num_items - 3, num_items - 2]
    scores[:, -1] = -1
    assert ranks(scores, torch.tensor([1, num_items]), torch.zeros(2, 1, dtype=torch.int64)).unmasked.tolist() == [
        num_items - 2, num_items - 1,
    ]  # fmt: skip
