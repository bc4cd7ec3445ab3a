"""Who may look at whom: proved by changing what must not be seen, on packed and on padded histories."""

import pytest
import torch

from pte.nn.sequence.attention import Encoder, attend, block_causal

WIDTH = 16


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder(
        width=WIDTH, inner=32, layers=2, heads=2, length=12, dropout=0.5, attention_dropout=0.5, std=0.3
    ).eval()


def vectors(*shape, seed=1):
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed))


def test_mask_by_hand():
    mask = block_causal(torch.tensor([[1, 1, 2, 0]]))[0, 0].int().tolist()
    assert mask == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_the_future_changes_nothing(encoder):
    x, place = vectors(1, 8), torch.arange(8)
    before = encoder(x, place)
    x[:, 5:] = vectors(1, 3, seed=9)
    after = encoder(x, place)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().min(dim=-1).values.max() > 0


def test_the_past_changes_everything_after_it(encoder):
    x, place = vectors(1, 8), torch.arange(8)
    before = encoder(x, place)
    x[:, 2] = vectors(1, seed=9)  # a constant would be normalised away
    moved = (encoder(x, place) - before).abs().amax(dim=-1)[0]
    assert moved[:2].max() == 0
    assert moved[2:].min() > 1e-6


def test_packed_equals_alone(encoder):
    """Three histories in one row give what each gives by itself: no block sees another, positions start anew."""
    lengths = (4, 3, 2)
    alone = [vectors(1, n, seed=n) for n in lengths]
    row = torch.cat([*alone, torch.zeros(1, 1, WIDTH)], dim=1)
    position = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0, 1, 0]])
    segment = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 3, 3, 0]])
    together = encoder(row, position, block_causal(segment))
    for part, x, n in zip(together[:, :9].split(lengths, dim=1), alone, lengths, strict=True):
        torch.testing.assert_close(part, encoder(x, torch.arange(n)), rtol=1e-5, atol=1e-6)


def test_padding_produces_no_nan(encoder):
    segment = torch.zeros(2, 5, dtype=torch.int64)
    assert encoder(vectors(2, 5), segment, block_causal(segment)).isfinite().all()


def test_the_last_place_alone_is_the_last_place(encoder):
    length = torch.tensor([1, 7, 4])
    x = vectors(3, 7)
    every = encoder(x, torch.arange(7))
    expected = every[torch.arange(3), length - 1]
    torch.testing.assert_close(encoder.last(x, length), expected, rtol=1e-5, atol=1e-6)


def test_longer_padding_changes_nothing(encoder):
    length = torch.tensor([3, 2])
    x = vectors(2, 3)
    padded = torch.cat([x, torch.zeros(2, 6, WIDTH)], dim=1)
    torch.testing.assert_close(encoder.last(x, length), encoder.last(padded, length), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_without_a_kernel_is_attention(masked, monkeypatch):
    """The written-out path (taken with dropout) with its dropout switched off equals the fused kernel."""
    q, k, v = torch.randn(3, 2, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = block_causal(torch.tensor([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 2, 2]])) if masked else None
    monkeypatch.setattr("pte.nn.sequence.attention.dropout", lambda x, probability, training, **place: x)
    torch.testing.assert_close(attend(q, k, v, mask, 0.5), attend(q, k, v, mask, 0.0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_products_in_bf16_is_attention_to_their_precision(masked):
    """Written out again, since the fused kernel is slow there; gradients too."""
    given = torch.randn(3, 2, 2, 20, 8, generator=torch.Generator().manual_seed(0))
    mask = block_causal(torch.arange(40).view(2, 20) // 7 + 1) if masked else None
    found = {}
    for precision in ("highest", "medium"):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            leaf = given.clone().requires_grad_()
            read = attend(*leaf, mask, 0.0)
            read.square().sum().backward()
            found[precision] = (read.detach(), leaf.grad)
        finally:
            torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(found["medium"], found["highest"], rtol=0.02, atol=0.05)


def test_dropout_is_live_in_training_only(encoder):
    x, place = vectors(1, 8), torch.arange(8)
    assert torch.equal(encoder(x, place), encoder(x, place))
    encoder.train()
    assert not torch.equal(encoder(x, place), encoder(x, place))


def test_training_with_dropout_sees_no_future(encoder):
    encoder.train()
    x, place = vectors(1, 8), torch.arange(8)
    torch.manual_seed(5)
    before = encoder(x, place)
    x[:, 5:] = vectors(1, 3, seed=9)
    torch.manual_seed(5)
    assert torch.equal(before[:, :5], encoder(x, place)[:, :5])


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="heads=3 does not divide 16"):
        Encoder(width=16, inner=32, layers=1, heads=3, length=4, dropout=0, attention_dropout=0)


def test_views_are_encoded_one_by_one_with_the_same_weights(encoder):
    """Two views side by side give what each gives alone, packed and at the last place; a mix comes first."""
    torch.manual_seed(0)
    two = Encoder(
        width=2 * WIDTH, views=2, inner=32, layers=2, heads=2, length=12, dropout=0.5, attention_dropout=0.5, std=0.3
    ).eval()
    two.load_state_dict(encoder.state_dict())
    first, second, place = vectors(3, 6, seed=1), vectors(3, 6, seed=2), torch.arange(6)
    both, length = torch.cat([first, second], dim=-1), torch.tensor([6, 2, 4])
    mask = block_causal(torch.tensor([[1, 1, 1, 2, 2, 0]]).expand(3, -1))
    alone = torch.cat([encoder(first, place, mask), encoder(second, place, mask)], dim=-1)
    assert torch.allclose(two(both, place, mask), alone, atol=1e-6)
    alone = torch.cat([encoder.last(first, length), encoder.last(second, length)], dim=-1)
    assert torch.allclose(two.last(both, length), alone, atol=1e-6)
    swapped = two(both, place, mask, mix=lambda x, _: x.flip(0))
    assert torch.allclose(swapped, two(both, place, mask).roll(WIDTH, dims=-1), atol=1e-6)
    with pytest.raises(ValueError, match="cannot be split into 3 views"):
        Encoder(width=WIDTH, views=3, inner=4, layers=1, heads=1, length=3, dropout=0, attention_dropout=0)
