"""Sums of sparse rows against the dense product, in chunks of any size, with any padding."""

import numpy as np
import pytest
import torch
from scipy import sparse

from pte.nn import item_matrix
from pte.nn.item_matrix import ItemMatrix, recency, train_counts

ITEM = torch.tensor([[2, 1, 2], [5, 0, 0], [3, 4, 0]])
LENGTH = torch.tensor([3, 1, 2])


def test_recency_by_hand():
    weight = recency(ITEM, LENGTH, 0.5)
    assert weight.tolist() == [[0.25, 0.5, 1], [1, 0, 0], [0.5, 1, 0]]
    assert recency(ITEM, LENGTH, 0.0).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert recency(ITEM, LENGTH, 1.0).sum() == 6


@pytest.mark.parametrize("entries", [1, 7, 10**6])
def test_rows_are_summed_as_a_dense_product_does(entries, monkeypatch):
    monkeypatch.setattr(item_matrix, "_ENTRIES", entries)
    dense = np.random.default_rng(0).normal(size=(5, 5)) * (np.random.default_rng(1).random((5, 5)) < 0.6)
    dense[3] = 0  # item 4 has no entries
    weight = recency(ITEM, LENGTH, 0.7)
    one_hot = torch.zeros(3, 6)
    one_hot.scatter_add_(1, ITEM, weight)
    expected = one_hot[:, 1:] @ torch.from_numpy(dense).float()
    matrix = ItemMatrix(sparse.csr_array(dense))
    torch.testing.assert_close(matrix(ITEM, weight), expected)
    longer = torch.cat([ITEM, torch.zeros(3, 4, dtype=torch.int64)], 1)
    torch.testing.assert_close(matrix(longer, recency(longer, LENGTH, 0.7)), expected)
    gathered = torch.zeros(3, 5)  # as an accelerator adds them
    matrix._add_gathered(gathered, longer, recency(longer, LENGTH, 0.7))
    torch.testing.assert_close(gathered, expected)


@pytest.mark.parametrize("items_first", [False, True])
def test_sums_are_added_scaled_to_their_largest_in_either_order_of_memory(items_first):
    dense = np.array([[0, 2, 1], [0, 0, 0], [3, 0, 1]], np.float32)
    item, weight = torch.tensor([[1, 3, 3], [2, 0, 0], [3, 0, 0]]), torch.tensor([[0.5, 1, 1], [1, 0, 0], [2, 0, 0]])
    scores = torch.ones(3, 3).T.contiguous().T if items_first else torch.ones(3, 3)
    ItemMatrix(sparse.csr_array(dense)).add_(scores, item, weight, largest=torch.tensor([12.0, 5, -1]))
    # 0.5 (0 2 1) + 2 (3 0 1) = (6 1 2.5), its largest to 12; item 2 has no entries; (6 0 2), its largest to -1
    torch.testing.assert_close(scores, torch.tensor([[13, 3, 6], [1, 1, 1], [0, 1, 1 - 1 / 3]]))


@pytest.mark.parametrize("readings", [1, 2, 3])
@pytest.mark.parametrize("scaled", [False, True])
def test_several_readings_are_added_as_one_after_the_other(readings, scaled):
    generator = np.random.default_rng(readings)
    matrix = ItemMatrix(sparse.csr_array(generator.random((5, 5)) * (generator.random((5, 5)) < 0.5)))
    weight = torch.stack([recency(ITEM, LENGTH, decay) for decay in (0.2, 0.8, 0.0)[:readings]])
    largest = torch.tensor([[2.0, -1, 3], [0.5, 4, 0], [1, 1, 1]])[:readings] if scaled else None
    expected = torch.zeros(3, 5)
    for i, own in enumerate(weight):
        matrix.add_(expected, ITEM, own, None if largest is None else largest[i])
    torch.testing.assert_close(matrix.add_(torch.zeros(3, 5), ITEM, weight, largest), expected)


def test_nothing_is_added_where_no_history_has_entries():
    scores = ItemMatrix(sparse.csr_array((5, 5), dtype=np.float32)).add_(
        torch.ones(3, 5), ITEM, ITEM.float(), torch.ones(3)
    )
    assert (scores == 1).all()


def test_train_counts_leave_padding_out():
    assert train_counts(np.array([3, 1, 3]), 4).tolist() == [1, 0, 2, 0]
