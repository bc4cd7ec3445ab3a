"""Dropout by place: the same for a history wherever it is packed and whoever holds it, else independent."""

import pytest
import torch

from pte.nn.kernel.dropout import dropout
from pte.nn.kernel.place_noise import PlaceNoise, place_noise

ONE = torch.tensor([[7, 7, 7, 9, 9]]), torch.tensor([[0, 1, 2, 0, 1]])
SPLIT = torch.tensor([[9, 9, 0, 0, 0], [7, 7, 7, 0, 0]]), torch.tensor([[0, 1, 0, 0, 0], [0, 1, 2, 0, 0]])


def test_splitmix_by_hand():
    """The first outputs of the published generator from state 0 (Vigna's splitmix64.c)."""
    noise = PlaceNoise(0, torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64))
    from pte.nn.kernel.place_noise import GOLDEN, _mixed

    state = GOLDEN * torch.arange(1, 4)
    assert [n % 2**64 for n in _mixed(state).tolist()] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert not torch.equal(noise.bytes(1, 64), noise.bytes(1, 64))


def test_a_history_takes_its_noise_along():
    one, split = PlaceNoise(5, *ONE), PlaceNoise(5, *SPLIT)
    for width in (8, 12):
        a, b = one.bytes(2, width).view(2, 1, 5, width), split.bytes(2, width).view(2, 2, 5, width)
        assert torch.equal(a[:, 0, :3], b[:, 1, :3])
        assert torch.equal(a[:, 0, 3:], b[:, 0, :2])
        assert not torch.equal(a[0], a[1])


def test_attention_weights_take_theirs_along():
    def mask(noise, rows):
        with place_noise(noise):
            return dropout(torch.ones(rows, 3, 5, 5), 0.5, True, key=noise.position)

    one, split = mask(PlaceNoise(5, *ONE), 1), mask(PlaceNoise(5, *SPLIT), 2)
    assert torch.equal(one[0, :, :3, :3], split[1, :, :3, :3])
    assert torch.equal(one[0, :, 3:, 3:], split[0, :, :2, :2])


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_places_channels_and_draws_are_independent(probability):
    sequence = torch.arange(1, 401).repeat_interleave(10).view(400, 10)
    noise = PlaceNoise(1, sequence, torch.arange(10).repeat(400, 1))
    with place_noise(noise):
        first, second = (dropout(torch.ones(400, 10, 64), probability, True) > 0 for _ in range(2))
    stay = round(256 * (1 - probability)) / 256
    for axis in range(3):
        left = first.narrow(axis, 0, first.shape[axis] - 1)
        both = (left & first.narrow(axis, 1, first.shape[axis] - 1)).float().mean().item()
        assert both == pytest.approx(stay**2, abs=5 * (stay**2 * (1 - stay**2) / left.numel()) ** 0.5 * 1.5)
    assert (first & second).float().mean().item() == pytest.approx(stay**2, abs=0.004)


def test_a_table_is_dropped_alike_by_all():
    masks = []
    for places in (ONE, SPLIT):
        with place_noise(PlaceNoise(5, *places)):
            masks.append(dropout(torch.ones(30, 8), 0.5, True))
    assert torch.equal(*masks)


def test_draws_at_places_are_normal_and_uniform_and_begin_alike_at_any_width():
    sequence = torch.arange(1, 2001)[:, None].expand(-1, 10)
    noise = PlaceNoise(1, sequence, torch.arange(10).repeat(2000, 1))
    places = noise.position % 2 == 0
    x, u = noise.at(places).normal((10_000, 5)).double(), noise.at(places).uniform((10_000, 4))
    assert x.mean(dim=0).abs().max() < 4 / 10_000**0.5
    assert (torch.corrcoef(x.T) - torch.eye(5)).abs().max() < 0.05
    assert x.var(dim=0).sub(1).abs().max() < 0.06
    assert ((u >= 0) & (u < 1)).all()
    assert u.mean(dim=0).sub(0.5).abs().max() < 4 * (1 / 12 / 10_000) ** 0.5
    wide, narrow = (PlaceNoise(5, *ONE).words(width) for width in (7, 3))
    assert torch.equal(wide[..., :3], narrow)
    with pytest.raises(ValueError, match="was asked for"):
        noise.uniform((3, 3, 1))


def test_whole_histories_have_the_same_noise_however_they_are_padded():
    step = PlaceNoise(5, *ONE)
    long, short = step.of(torch.tensor([7, 9]), 6), step.of(torch.tensor([9]), 6).padded(4)
    assert torch.equal(step.of(torch.tensor([7, 9]), 4).words(2)[1:], step.of(torch.tensor([9]), 6).words(2)[:, :4])
    assert torch.equal(long.bytes(2, 8, rows=True)[[1, 3]], step.of(torch.tensor([9]), 3).bytes(2, 8, rows=True))
    assert not torch.equal(step.of(torch.tensor([7]), 3).words(2)[0], PlaceNoise(5, *ONE).words(2)[0, :3])
    assert short.key.shape == (1, 4)
    assert step.padded(9) is step
