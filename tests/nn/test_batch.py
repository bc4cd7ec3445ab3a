"""Packing: every input stands once, followed by its target; nothing overlaps; next to no padding is left."""

import numpy as np
import pytest
import torch

from pte.nn.batch import History, PackedBatch, first_fit, pack


def packed(lengths, row_length, members):
    """Sequences whose items are 1, 2, 3, ... in one count through all of them."""
    lengths = np.asarray(lengths)
    item = np.arange(1, lengths.sum() + 1)
    return pack(item, np.cumsum(lengths) - lengths, lengths, np.asarray(members), row_length=row_length)


def test_first_fit_by_hand():
    # row length 5: 4 opens row 0; 3 opens row 1; 2 fits beside 3; 1 fits beside 4; 0 takes no room
    row, offset, segment = first_fit(np.array([[4, 3, 2, 1, 0]]), 5)
    assert row[0, :4].tolist() == [0, 1, 1, 0]
    assert offset[0, :4].tolist() == [0, 0, 3, 4]
    assert segment[0, :4].tolist() == [1, 1, 2, 2]


def test_pack_by_hand():
    # sequences 1 2 3 | 4 5 | 6 7 8 9 give inputs 1 2, 4 and 6 7 8
    steps = packed([3, 2, 4], 4, [[0, 1, 2]])
    assert steps.first.tolist() == [0, 2]
    assert steps.item.tolist() == [[6, 7, 8, 4], [1, 2, 0, 0]]
    assert steps.target.tolist() == [[7, 8, 9, 5], [2, 3, 0, 0]]
    assert steps.position.tolist() == [[0, 1, 2, 0], [0, 1, 0, 0]]
    assert steps.segment.tolist() == [[1, 1, 1, 2], [1, 1, 0, 0]]
    assert steps.sequence.tolist() == [[3, 3, 3, 2], [1, 1, 0, 0]]


def test_a_long_sequence_keeps_its_last_inputs():
    steps = packed([6], 3, [[0]])
    assert steps.item.tolist() == [[3, 4, 5]]
    assert steps.target.tolist() == [[4, 5, 6]]
    assert steps.position.tolist() == [[0, 1, 2]]


def test_a_sequence_of_exactly_the_row_and_its_target_is_whole():
    assert packed([4], 3, [[0]]).item.tolist() == [[1, 2, 3]]


def test_a_step_without_inputs_is_one_row_of_padding():
    steps = packed([1, 3], 3, [[-1, -1], [0, -1], [1, -1]])
    assert steps.first.tolist() == [0, 1, 2, 3]
    assert steps.segment.sum(axis=1).tolist() == [0, 0, 2]


def test_steps_do_not_depend_on_their_neighbours():
    lengths, rng = np.random.default_rng(0).integers(2, 30, 40), np.random.default_rng(1)
    members = rng.permutation(40).reshape(4, 10)
    together = packed(lengths, 20, members)
    for number, step in enumerate(members):
        alone = packed(lengths, 20, step[None])
        rows = slice(together.first[number], together.first[number + 1])
        for name in ("item", "position", "segment", "target"):
            assert np.array_equal(getattr(alone, name), getattr(together, name)[rows])


def test_every_input_stands_once_in_order_with_its_own_segment():
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 80, 500)
    begin = np.cumsum(lengths) - lengths
    steps = packed(lengths, 50, rng.permutation(500).reshape(5, 100))
    found = []
    for items, positions, segments, targets in zip(
        steps.item, steps.position, steps.segment, steps.target, strict=True
    ):
        for number in range(1, segments.max() + 1):
            at = np.flatnonzero(segments == number)
            assert np.array_equal(at, np.arange(at[0], at[0] + len(at)))  # one piece
            assert positions[at].tolist() == list(range(len(at)))
            assert np.array_equal(targets[at], items[at] + 1)  # this catalogue counts upwards
            found.append((items[at[0]], len(at)))
    wanted = [(begin[i] + 1 + n - 1 - min(n - 1, 50), min(n - 1, 50)) for i, n in enumerate(lengths) if n > 1]
    assert sorted(found) == sorted(wanted)


def test_next_to_no_padding_is_left():
    # lengths like those of review data: five and up, a long tail
    rng = np.random.default_rng(3)
    lengths = 3 + rng.geometric(0.2, 4096)
    steps = packed(lengths, 50, rng.permutation(4096).reshape(32, 128))
    inputs = np.minimum(lengths - 1, 50).reshape(-1).sum()
    assert (steps.target > 0).sum() == inputs
    assert inputs / steps.item.size > 0.95
    least = [-(-int((steps.target[a:b] > 0).sum()) // 50) for a, b in zip(steps.first, steps.first[1:], strict=False)]
    assert all(b - a <= n + 1 for a, b, n in zip(steps.first, steps.first[1:], least, strict=False))


@pytest.mark.parametrize("kind", [PackedBatch, History])
def test_batches_move_to_a_device(kind):
    some = torch.ones(2, 3, dtype=torch.int64)
    batch = PackedBatch(some, some, some, some, total=6.0) if kind is PackedBatch else History(some, some[:, 0])
    moved = batch.to(torch.device("meta"))
    assert moved.item.device.type == "meta"
    assert moved.item.shape == (2, 3)


def test_last_places_by_hand():
    segment = torch.tensor([[1, 1, 1, 2], [1, 1, 0, 0], [0, 0, 0, 0]])
    batch = PackedBatch(segment, segment, segment, segment, total=1.0)
    assert batch.last_places().int().tolist() == [[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
