"""Windowed co-occurrence: by hand, against a plain double loop, and under relabelling."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from pte.backbone.markov import Markov, pair_counts
from pte.nn.batch import History
from pte.schema import InputError

ITEM, START = np.array([1, 2, 3, 1, 2, 4, 2]), np.array([0, 3, 5, 7])  # 1 2 3 | 1 2 | 4 2


def markov(num_items=5, **knobs) -> Markov:
    own = {"window": 2, "distance_power": 1.0, "backward": 0.5, "shrink": 1.0, "recency": 0.5, "fallback": 0.0}
    return Markov(representation=None, num_items=num_items, length=50, **own | knobs)


def history(*rows: list[int]) -> History:
    width = max(map(len, rows))
    return History(torch.tensor([r + [0] * (width - len(r)) for r in rows]), torch.tensor([len(r) for r in rows]))


def test_pair_counts_by_hand():
    expected = np.zeros((5, 5))
    expected[0, 1] = 2  # 1 2 twice
    expected[1, 2] = 1
    expected[0, 2] = 1 / 2  # two steps apart
    expected[3, 1] = 1
    found = pair_counts(ITEM, START, 5, window=2, distance_power=1.0).toarray()
    np.testing.assert_allclose(found, expected)


def test_scores_by_hand():
    # n = 2 3 1 1 0, shrink 1. After [1, 2] (recency .5 for item 1):
    model = markov()
    model.fit(ITEM, START)
    s = lambda c, a, b: c / math.sqrt((a + 1) * (b + 1))  # noqa: E731
    expected = [
        s(0.5 * 2, 3, 2),  # to 1 from 2, backward
        0.5 * s(2, 2, 3),  # to 2 from 1
        0.5 * s(1 / 2, 2, 1) + s(1, 3, 1),  # to 3 from both
        s(0.5 * 1, 3, 1),  # to 4 from 2, backward
        0.0,  # never seen
    ]
    torch.testing.assert_close(model.score(history([1, 2]))[0], torch.tensor(expected))


def test_equals_a_plain_double_loop():
    rng = np.random.default_rng(0)
    n, lengths = 12, rng.integers(1, 9, 30)
    start = np.concatenate([[0], np.cumsum(lengths)])
    item = rng.integers(1, n + 1, start[-1])  # repeats within a sequence too
    knobs = {"window": 4, "distance_power": 0.5, "backward": 0.3, "shrink": 2.0, "recency": 0.6, "fallback": 0.01}
    count = np.bincount(item, minlength=n + 1)[1:]
    c = np.zeros((n, n))
    for b, e in pairwise(start):
        for i in range(b, e):
            for j in range(i + 1, min(e, i + 5)):
                c[item[i] - 1, item[j] - 1] += (j - i) ** -0.5
                c[item[j] - 1, item[i] - 1] += 0.3 * (j - i) ** -0.5
    c /= np.sqrt((count[:, None] + 2) * (count + 2))
    expected = c[3] + 0.6 * c[0] + 0.36 * c[3] + 0.01 * count / count.max()
    model = markov(n, **knobs)
    model.fit(item, start)
    np.testing.assert_allclose(model.score(history([4, 1, 4], [2]))[0].numpy(), expected, rtol=1e-5)


def test_relabelling_items_relabels_scores():
    rng = np.random.default_rng(1)
    item, start = rng.integers(1, 9, 40), np.arange(0, 41, 5)
    relabel = np.concatenate([[0], 1 + rng.permutation(8)])
    a, b = markov(8, fallback=0.01), markov(8, fallback=0.01)
    a.fit(item, start)
    b.fit(relabel[item], start)
    h = history([3, 5], [8, 8, 1])
    renamed = History(torch.from_numpy(relabel)[h.item], h.length)
    torch.testing.assert_close(b.score(renamed)[:, relabel[1:] - 1], a.score(h))


def test_items_that_met_nothing_are_ordered_by_popularity_behind_those_that_did():
    model = markov(fallback=1e-3)
    model.fit(ITEM, START)
    score = model.score(history([3]))[0]  # 3 met 2 and 1; 4 was bought once, 5 never
    assert score[1] > score[0] > score[3] > score[4] == 0


def test_batches_and_padding_change_no_score():
    model = markov(fallback=0.01)
    model.fit(ITEM, START)
    together = model.score(history([1, 2, 4], [3], [5]))
    for i, row in enumerate(([1, 2, 4, 0, 0], [3, 0], [5])):
        alone = model.score(History(torch.tensor([row]), torch.tensor([len([x for x in row if x])])))
        torch.testing.assert_close(alone[0], together[i])


def test_a_single_row_can_be_fitted():
    model = markov(2)
    model.fit(np.array([1]), np.array([0, 1]))
    assert model.score(history([1])).tolist() == [[0, 0]]


def test_mistakes_are_reported():
    with pytest.raises(InputError, match="window=0"):
        markov(window=0)
    with pytest.raises(InputError, match=r"recency=1\.5"):
        markov(recency=1.5)
    with pytest.raises(InputError, match="shrink=-1"):
        markov(shrink=-1)
    with pytest.raises(RuntimeError, match="fit comes before score"):
        markov().score(history([1]))
