"""InfoNCE against a loop that spells it out; look-alikes against brute force."""

import math

import pytest
import torch
from torch.nn import functional as F

from pte.reward.contrast import NONE, Contrast, Relation, info_nce
from pte.reward.neighbor import cooccurring, nearest


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def plain(candidate, table, contrast, tau):
    """The definition, one number at a time."""
    n, K, _ = candidate.shape
    sums, counts = [[0.0] * K for _ in range(n)], [0] * n
    mean = F.normalize(candidate.mean(1), dim=1)
    for row, x in enumerate(contrast.entity.tolist()):
        p = table[contrast.positive[row]]
        counts[x] += 1
        for k in range(K):
            near = math.exp(float(candidate[x, k] @ p) / tau)
            far = sum(math.exp(float(candidate[x, k] @ table[j]) / tau) for j in contrast.negative[row] if j != NONE)
            score = math.log(near / (near + far))
            if contrast.rival is not None:
                rivals = sum(math.exp(float(p @ mean[j]) / tau) for j in contrast.rival[row] if j != NONE)
                score = (score + math.log(near / (near + rivals))) / 2
            sums[x][k] += score
    return torch.tensor([[s / max(1, c) for s in row] for row, c in zip(sums, counts, strict=True)])


@pytest.mark.parametrize("with_rivals", [False, True])
def test_agrees_with_the_definition(with_rivals):
    generator = torch.Generator().manual_seed(1)
    candidate, table = unit(6, 3, 8), unit(10, 8, seed=2)
    draw = lambda high, *shape: torch.randint(NONE, high, shape, generator=generator)  # noqa: E731
    entity = torch.tensor([0, 0, 4, 2, 0])
    contrast = Contrast(entity, draw(10, 5).clamp(min=0), draw(10, 5, 7), draw(6, 5, 7) if with_rivals else None)
    score, known = info_nce(candidate, table, contrast, 0.3, chunk=2)
    torch.testing.assert_close(score, plain(candidate, table, contrast, 0.3), atol=1e-5, rtol=1e-5)
    assert known.tolist() == [True, False, True, False, True, False]
    assert not score[~known].any()


def test_without_negatives_nothing_can_be_confused():
    score, known = info_nce(
        unit(2, 3, 4), unit(5, 4), Contrast(torch.tensor([1]), torch.tensor([2]), torch.full((1, 6), NONE)), 0.07
    )
    assert torch.equal(score, torch.zeros(2, 3))
    assert known.tolist() == [False, True]


def test_relation():
    relation = Relation(torch.tensor([0, 2, 2]), torch.tensor([3, 0, 4]), 5)
    other = torch.tensor([[3, 0], [4, 3], [0, NONE]])
    assert relation.holds(torch.tensor([[0], [1], [2]]), other).tolist() == [
        [True, False],
        [False, False],
        [True, False],
    ]
    empty = torch.zeros(0, dtype=torch.int64)
    assert not Relation(empty, empty, 5).holds(torch.tensor([1]), torch.tensor([1])).any()


def test_nearest_is_brute_force_when_all_are_sampled():
    table = unit(30, 6)
    table[4] = 0
    generator = torch.Generator().manual_seed(0)
    found = nearest(table, 5, rows=slice(0, 30), sample=99, generator=generator, chunk=7)
    similarity = table @ table.T
    similarity.fill_diagonal_(-9)
    similarity[:, 4] = -9
    expected = similarity.topk(5, dim=1).indices
    expected[4] = NONE
    assert torch.equal(found, expected)


def test_nearest_of_few_pads_with_nobody():
    found = nearest(unit(3, 4), 5, rows=slice(0, 3), sample=99, generator=torch.Generator().manual_seed(0))
    assert (found != NONE).sum(1).tolist() == [2, 2, 2]
    assert (nearest(torch.zeros(2, 4), 5, rows=slice(0, 2), sample=9, generator=torch.Generator()) == NONE).all()


def test_nearest_among_some_rows_are_of_these_rows():
    table = unit(30, 6)
    some = nearest(table, 5, rows=slice(10, 30), sample=99, generator=torch.Generator().manual_seed(0))
    alone = nearest(table[10:], 5, rows=slice(0, 20), sample=99, generator=torch.Generator().manual_seed(0))
    assert torch.equal(some, alone + 10)


def test_cooccurrence_by_hand():
    user = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    item = torch.tensor([11, 12, 13, 11, 12, 11, 14])
    rows = slice(11, 16)
    found = cooccurring(user, item, rows, 3, window=1)
    # 11: with 12 twice, counts 3 and 2 -> 2/sqrt 6 = .82; with 14 once -> 1/sqrt 3 = .58; with 13 never side by side
    assert found[0].tolist() == [12, 14, NONE]
    assert found[1].tolist() == [11, 13, NONE]  # .82 and 1/sqrt 2 = .71
    assert found[4].tolist() == [NONE] * 3
    assert cooccurring(user, item, rows, 3, window=2)[2].tolist() == [12, 11, NONE]
