"""Ranks among drawn negatives: uniform, distinct, never met; the same questions whatever the batch."""

import itertools

import numpy as np
import pytest
import torch

from pte.metric.rank import ranks
from pte.metric.sampled import draws, sampled_negatives, sampled_ranks, summarise_sampled
from pte.schema import InputError

SEEN = torch.tensor([[2, 5, 2, 0], [1, 0, 0, 0]])
TARGET = torch.tensor([7, 1])  # the first is not in seen, the second is


def test_negatives_are_distinct_and_unmet():
    drawn = sampled_negatives(8, TARGET, SEEN, torch.from_numpy(draws(2, seed=0, negatives=5)))
    assert set(drawn[0].tolist()) == {1, 3, 4, 6, 8}  # all five that are left
    assert len(set(drawn[1].tolist())) == 5
    assert 1 not in drawn[1]


def test_every_set_is_equally_likely():
    """Six items left, draw 3: each of the 20 sets 5 % of 20,000 cases, within 5 sd."""
    count = 20_000
    draw = torch.from_numpy(draws(count, seed=1, negatives=3))
    drawn = sampled_negatives(8, torch.full((count,), 4), torch.full((count, 1), 6), draw).sort(dim=1).values
    found, times = drawn.unique(dim=0, return_counts=True)
    assert found.tolist() == [list(s) for s in itertools.combinations([1, 2, 3, 5, 7, 8], 3)]
    assert (times / count - 1 / 20).abs().max() < 5 * (0.05 * 0.95 / count) ** 0.5


def test_all_items_as_negatives_give_the_masked_rank():
    scores = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    full = ranks(scores, TARGET, SEEN.masked_fill(TARGET[:, None] == SEEN, 0)).masked  # a repeat is a candidate here
    for row, left in ((0, 5), (1, 7)):
        one = slice(row, row + 1)
        draw = torch.from_numpy(draws(1, seed=2, negatives=left))
        assert sampled_ranks(scores[one], TARGET[one], SEEN[one], draw) == full[one]


def test_rank_counts_ties_against_the_target():
    draw = torch.from_numpy(draws(2, seed=0, negatives=5))
    assert sampled_ranks(torch.zeros(2, 8), TARGET, SEEN, draw).tolist() == [5, 5]


def test_batches_and_padding_ask_the_same_questions():
    scores, draw = torch.randn(2, 8), torch.from_numpy(draws(2, seed=0, negatives=3))
    wide = torch.cat([SEEN, torch.zeros(2, 3, dtype=torch.int64)], 1)
    together = sampled_ranks(scores, TARGET, wide, draw)
    alone = [sampled_ranks(scores[i : i + 1], TARGET[i : i + 1], SEEN[i : i + 1], draw[i : i + 1]) for i in range(2)]
    assert together.tolist() == torch.cat(alone).tolist()
    assert np.array_equal(draws(2, seed=0), draws(2, seed=0))
    assert not np.array_equal(draws(2, seed=0), draws(2, seed=1))


def test_nan_and_too_small_catalogues_are_refused():
    draw = torch.from_numpy(draws(2, seed=0, negatives=5))
    with pytest.raises(ValueError, match="NaN"):
        sampled_ranks(torch.full((2, 8), torch.nan), TARGET, SEEN, draw)
    with pytest.raises(InputError, match=r"met all but 5 of 8.*ranking=full"):
        sampled_negatives(8, TARGET, SEEN, torch.from_numpy(draws(2, seed=0, negatives=6)))


def test_names_carry_the_protocol():
    flat = summarise_sampled(np.array([0, 12]), {"all": np.array([True, True])})
    assert flat["sampled/all/NDCG@10|100neg"] == 0.5
    assert flat["sampled/all/n"] == 2
    assert not any(key.endswith("@10") for key in flat)
