"""Whitening against its definition; anchors by hand."""

from dataclasses import replace

import pytest
import torch
from helper.reward import ITEM, USER, K, N, U, unit, world
from torch.nn import functional as F

from pte.reward import space
from pte.reward.space import Space, Whitening
from pte.schema import InputError


def test_whitened_rows_have_unit_covariance():
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.tensor([9.0, 5, 3, 1, 1, 0.1])
    )
    x = x + 4
    fitted = Whitening.fit(x, width=4)
    z = (x - fitted.mean) @ fitted.axes
    torch.testing.assert_close(z.T @ z / 500, torch.eye(4), atol=1e-4, rtol=0)
    assert abs(torch.corrcoef(torch.stack([z[:, -1], x[:, 0]]))[0, 1]) > 0.99  # the leading axis comes last


def test_axes_without_variance_are_left_out_and_blanks_stay_blank():
    x = unit(20, 3)
    x = torch.cat([x, x.sum(1, keepdim=True)], dim=1)  # the fourth column adds nothing
    x[3] = 0
    fitted = Whitening.fit(x, width=9)
    assert fitted.axes.shape == (4, 3)
    z = fitted(x)
    assert not z[3].any()
    torch.testing.assert_close(z[4:].norm(dim=1), torch.ones(16))


def test_whitening_ignores_shift_and_rotation():
    x = unit(200, 5)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)))
    one, two = Whitening.fit(x, width=3)(x), Whitening.fit(x @ turn + 2, width=3)(x @ turn + 2)
    torch.testing.assert_close(one @ one.T, two @ two.T, atol=1e-4, rtol=0)


def test_anchors_by_hand():
    data = world()
    space = Space.of(data, None)
    row, k = U + 6, 1  # item 7
    candidates = data.vector[row].sum(0) + data.metadata[6]
    torch.testing.assert_close(space.centroid[row], candidates / candidates.norm())
    others = candidates - data.vector[row, k]
    torch.testing.assert_close(space.leave_one_out(k)[row], others / others.norm())
    visible = data.row_item[(data.row_user == 3) & data.visible]
    total = space.centroid[visible].sum(0)
    torch.testing.assert_close(space.centroid[3], total / total.norm())
    torch.testing.assert_close(space.leave_one_out(2)[3], space.centroid[3])


def test_a_blank_item_has_no_place():
    data = world()
    data.vector[U + 4], data.metadata[4] = 0, 0
    for width in (None, 8):
        space = Space.of(data, width)
        assert not space.centroid[U + 4].any()
        assert not space.leave_one_out(0)[U + 4].any()


def test_texts_that_are_all_blank_are_refused():
    data = world()
    data = replace(data, vector=torch.zeros_like(data.vector), metadata=torch.zeros_like(data.metadata))
    with pytest.raises(InputError, match="all texts of items are blank"):
        Space.of(data, 8)


def test_a_single_candidate_is_judged_by_the_metadata():
    data = world()
    data = replace(data, vector=data.vector[:, :1])
    torch.testing.assert_close(Space.of(data, None).leave_one_out(0)[ITEM], data.metadata, atol=1e-6, rtol=0)


@pytest.mark.parametrize("width", [None, 8])
def test_shapes_and_unit_rows(width):
    space = Space.of(world(), width)
    assert space.vector.shape == (U + N, K, width or 16)
    for vectors in (space.vector, space.centroid, space.leave_one_out(0)):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))


def test_a_style_that_all_texts_share_does_not_count():
    """Two families of texts about the same things, each with a large common component of its own."""
    data = world()
    style = unit(2, 16, seed=8)
    item = F.normalize(data.vector[ITEM] + 5 * style[0], dim=-1)
    metadata = F.normalize(data.metadata + 5 * style[1], dim=-1)
    styled = replace(data, vector=torch.cat([data.vector[USER], item]), metadata=metadata)
    raw, white = Space.of(styled, None), Space.of(styled, 12)
    spread = [float((s.vector[ITEM, 0] @ s.vector[ITEM, 0].T).mean()) for s in (raw, white)]
    assert spread[0] > 0.9 > 0.5 > spread[1]


def test_tables_side_by_side_are_one_table():
    x = torch.randn(40, 3, 6, generator=torch.Generator().manual_seed(3))
    one, two = Whitening.fit(x, width=4), Whitening.fit(x[:, :2], x[:, 2], width=4)
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(one.axes, two.axes)


def test_blocks_of_rows_give_what_all_rows_at_once_give(monkeypatch):
    """Zeros among them, and a last block that is shorter."""
    x = torch.randn(101, 2, 6, generator=torch.Generator().manual_seed(3))
    x[::9] = 0
    whole = Whitening.fit(x, width=4)
    expected = whole(x)
    monkeypatch.setattr(space, "BLOCK", 7)
    blocks = Whitening.fit(x, width=4)
    torch.testing.assert_close(blocks.mean, whole.mean)
    torch.testing.assert_close(blocks(x).abs(), expected.abs(), rtol=1e-4, atol=1e-5)
    assert not blocks(x)[::9].any()


def test_the_fit_copies_a_block_at_a_time_in_double_precision(monkeypatch):
    copied: list = []
    double = torch.Tensor.double
    monkeypatch.setattr(torch.Tensor, "double", lambda x: copied.extend([len(x)] * (x.dim() == 2)) or double(x))
    monkeypatch.setattr(space, "BLOCK", 64)
    Whitening.fit(torch.randn(1000, 5, generator=torch.Generator().manual_seed(0)), width=3)
    assert sum(copied) == 1000
    assert max(copied) == 64
