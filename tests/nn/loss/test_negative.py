"""Negatives: exactly uniform outside the excluded set, by enumeration and by counting."""

import pytest
import torch

from pte.nn.loss.negative import Exclusion, batch_negatives, negatives

ITEM = torch.tensor([[1, 2, 5, 3, 3], [4, 1, 0, 0, 0]])  # histories 1 2 5 (then 7); 3 3 (then 1); 4 1 (then 4)
SEGMENT = torch.tensor([[1, 1, 1, 2, 2], [1, 1, 0, 0, 0]])
TARGET = torch.tensor([[2, 5, 7, 3, 1], [1, 4, 0, 0, 0]])
SETS = [{1, 2, 5, 7}] * 3 + [{1, 3}] * 2 + [{1, 4}] * 2


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_histories_of_packed_rows_are_distinguished():
    exclusion = Exclusion.histories(ITEM, SEGMENT, TARGET)
    sets = [set(exclusion.item[exclusion.first[o] : exclusion.first[o + 1]].tolist()) for o in exclusion.owner]
    assert sets == SETS


def test_negatives_are_uniform_outside_the_set(draw):
    """Every allowed item comes up, no other does; 28,000 draws a row: shares within 5 sd of 1/m."""
    count = 28_000
    drawn = negatives(Exclusion.histories(ITEM, SEGMENT, TARGET), count, 8, draw)
    for row, excluded in zip(drawn, SETS, strict=True):
        allowed = set(range(1, 9)) - excluded
        share = torch.bincount(row, minlength=9)[sorted(allowed)] / count
        assert set(row.tolist()) == allowed
        assert (share - 1 / len(allowed)).abs().max() < 5 * (1 / len(allowed) / count) ** 0.5


def test_only_the_target_is_left_out_without_histories(draw):
    target = torch.tensor([1, 4, 8])
    drawn = negatives(Exclusion.targets(target), 2_000, 8, draw)
    assert [set(row.tolist()) for row in drawn] == [set(range(1, 9)) - {t} for t in target.tolist()]


def test_nothing_left_to_draw_gives_padding(draw):
    exclusion = Exclusion.histories(torch.tensor([[1, 2]]), torch.tensor([[1, 1]]), torch.tensor([[2, 3]]))
    assert negatives(exclusion, 4, 3, draw).eq(0).all()


def test_contains_marks_shared_negatives_per_target():
    drawn = torch.tensor([7, 3, 6, 3])
    expected = [[d in s for d in drawn.tolist()] for s in SETS]
    assert Exclusion.histories(ITEM, SEGMENT, TARGET).contains(drawn).tolist() == expected
    assert Exclusion.targets(torch.tensor([3, 6])).contains(drawn).tolist() == [
        [False, True, False, True],
        [False, False, True, False],
    ]


def test_shared_negatives_come_with_their_probability(draw):
    """Q_j = uniform/N + (1 - uniform) share of j among the targets, against counted shares within 5 sd."""
    target, n, count = torch.tensor([2, 2, 2, 5]), 6, 60_000
    drawn, q = batch_negatives(target, count, n, 0.4, draw)
    expected = torch.full((n + 1,), 0.4 / n)
    expected[0] = 0
    expected[2] += 0.6 * 3 / 4
    expected[5] += 0.6 / 4
    torch.testing.assert_close(q, expected[drawn])
    share = torch.bincount(drawn, minlength=n + 1) / count
    assert ((share - expected).abs() <= 5 * (expected / count).sqrt()).all()
