"""Attention with shared prefixes equals torch's own over prefix and row in one piece."""

import pytest
import torch
from torch.nn import functional as F

from pte.nn.kernel.prefix_attention import Seats, prefix_attention

PREFIX = torch.tensor([2, 0, 0, 2, 2, 0])  # of six rows; nobody sits at prefix 1
HEADS, OF_QUERY, WIDTH = 2, 6, 8


def tensors(length, own_length):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    prefix = draw(3, HEADS, 5, WIDTH), draw(3, HEADS, 5, WIDTH)
    own = draw(6, HEADS, own_length, WIDTH), draw(6, HEADS, own_length, WIDTH)
    return draw(6, OF_QUERY, length, WIDTH), prefix, own


@pytest.mark.parametrize(("length", "own_length"), [(1, 1), (1, 4), (3, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_attention_over_prefix_and_row_in_one_piece(length, own_length, masked):
    query, prefix, own = tensors(length, own_length)
    prefix_mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]).bool()
    own_mask = torch.ones(6, 1, length, own_length).bool().tril(own_length - length) if masked else None
    if masked:
        own_mask[0, ..., : own_length - 1] = False
    found = prefix_attention(query, prefix, own, Seats.of(PREFIX, prefix_mask), own_mask, 0.3)
    keys, values = (torch.cat([s[PREFIX], o], 2) for s, o in zip(prefix, own, strict=True))
    mask = own_mask if own_mask is not None else torch.ones(6, 1, length, own_length).bool()
    mask = torch.cat([prefix_mask[PREFIX][:, None, None].expand(-1, -1, length, -1), mask], -1)
    expected = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=0.3, enable_gqa=True)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_seats_are_those_of_a_prefix_in_order():
    seats = Seats.of(PREFIX, torch.ones(3, 5).bool())
    assert seats.seats == 3
    assert seats.place.tolist() == [6, 0, 1, 7, 8, 2]
    x = torch.arange(6.0).view(6, 1, 1, 1)
    assert torch.equal(seats.by_row(seats.by_prefix(x)), x)
    assert seats.by_prefix(x).flatten(1).tolist() == [[1, 2, 5], [0, 0, 0], [0, 3, 4]]
