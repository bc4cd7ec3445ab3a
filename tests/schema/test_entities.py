"""The order of entities, views of it, and what was saved in an earlier layout."""

import numpy as np
import pytest

from pte.schema import Embeddings, Entities, InputError, Selection


def test_rows_and_numbers_by_hand():
    entities = Entities(num_users=2, num_items=3)
    assert len(entities) == 5
    assert entities.is_user.tolist() == [True, True, False, False, False]
    assert [entities.at(row) for row in range(5)] == [("user", 0), ("user", 1), ("item", 1), ("item", 2), ("item", 3)]
    assert [entities.row(*entities.at(row)) for row in range(5)] == [0, 1, 2, 3, 4]


def test_sides_are_views():
    entities, table = Entities(2, 3), np.zeros((5, 4))
    for side in ("user", "item"):
        assert np.shares_memory(table[entities.side(side)], table)
    selection = Selection(entities, np.arange(10.0).reshape(5, 2), np.zeros(5, np.int16))
    assert np.shares_memory(selection.side("item"), selection.vector)
    assert selection.item_table.tolist() == [[0, 0], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("users_encoded", [True, False])
def test_embeddings_come_back(tmp_path, users_encoded):
    vector = np.arange(20, dtype=np.float32).reshape(5, 2, 2)
    vector[:2] *= users_encoded
    Embeddings(Entities(2, 3), vector, users_encoded, None).save(tmp_path)
    got = Embeddings.load(tmp_path)
    assert (got.entities, got.users_encoded, got.metadata) == (Entities(2, 3), users_encoded, None)
    assert np.array_equal(got.vector, vector)


def test_an_earlier_layout_is_refused(tmp_path):
    np.save(tmp_path / "item.npy", np.zeros((4, 1, 2)))
    np.savez(tmp_path / "selection.npz", user=np.zeros((2, 2)), item=np.zeros((4, 2)))
    for kind in (Embeddings, Selection):
        with pytest.raises(InputError, match="earlier version"):
            kind.load(tmp_path)
