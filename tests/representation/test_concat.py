"""Concat is the ID table and the text table, side by side and untouched."""

import pytest
import torch
from helper.representation import made

from pte.schema import InputError


def test_blocks_are_those_of_its_parts():
    model = made("concat").eval()
    table = model.table()
    assert torch.equal(table[:, :3], model.id.table())
    assert torch.equal(table[:, 3:], model.text.table())
    assert model.width == 8


def test_products_add_up():
    """Scores over the joined table are the sum of both parts' scores."""
    model, state = made("concat").eval(), torch.randn(4, 8)
    parts = state[:, :3] @ model.id.table().T + state[:, 3:] @ model.text.table().T
    assert torch.allclose(state @ model.table().T, parts, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.01])
def test_both_sides_must_exist(share):
    with pytest.raises(InputError, match="empty"):
        made("concat", id_share=share)
