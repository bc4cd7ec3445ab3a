"""Dropout from random bytes: right frequency, right scale, the same mask in both directions, independent places."""

import pytest
import torch

from pte.nn.kernel.dropout import Dropout, dropout


@pytest.mark.parametrize("probability", [0.5, 0.25, 0.1, 0.9])
def test_frequency_and_expectation(probability):
    torch.manual_seed(0)
    y = dropout(torch.ones(1000, 1001), probability, training=True)
    stay = round(256 * (1 - probability)) / 256
    values = y.unique()
    assert values.tolist() == pytest.approx([0.0, 1 / stay])
    # a million draws: standard errors of sqrt(q (1 - q) / 1e6) and sqrt((1 - q) / q / 1e6); five of them
    assert (y > 0).float().mean().item() == pytest.approx(stay, abs=5 * (stay * (1 - stay) / 1e6) ** 0.5)
    assert y.mean().item() == pytest.approx(1, abs=5 * ((1 - stay) / stay / 1e6) ** 0.5)


def test_all_eight_bytes_of_a_draw_are_uniform():
    torch.manual_seed(1)
    y = dropout(torch.ones(125_000, 8), 0.5, training=True) / 2
    assert y.mean(dim=0).tolist() == pytest.approx([0.5] * 8, abs=5 * (0.25 / 125_000) ** 0.5)
    together = (y.T @ y) / len(y)  # 1/4 for independent places
    together.fill_diagonal_(0.25)
    assert together.flatten().tolist() == pytest.approx([0.25] * 64, abs=5 * (3 / 16 / 125_000) ** 0.5)


def test_gradient_passes_where_the_value_did():
    torch.manual_seed(2)
    x = torch.randn(7, 11, requires_grad=True)
    y = dropout(x, 0.5, training=True)
    y.sum().backward()
    assert torch.equal(x.grad, (y != 0) * 2.0)


def test_nothing_is_dropped_outside_of_training():
    x = torch.randn(5)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x
    assert Dropout(0.5).eval()(x) is x


def test_a_seed_repeats_the_mask():
    x = torch.ones(100)
    torch.manual_seed(3)
    first = dropout(x, 0.5, training=True)
    assert not torch.equal(first, dropout(x, 0.5, training=True))
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x, 0.5, training=True))


def test_keeps_the_dtype():
    assert dropout(torch.ones(10, dtype=torch.bfloat16), 0.5, training=True).dtype == torch.bfloat16


def test_a_probability_of_one_is_refused():
    with pytest.raises(ValueError, match="dropout"):
        Dropout(1.0)


@pytest.mark.parametrize(("probability", "mean"), [(0.001, 1.0), (0.0015, 1.0), (0.9985, 1.0)])
def test_probabilities_finer_than_a_byte_keep_the_expectation(probability, mean):
    torch.manual_seed(0)
    x = dropout(torch.ones(2**20), probability, training=True)
    assert x.mean().item() == pytest.approx(mean, abs=0.1)
    assert probability > 0.5 or bool((x > 0).all())
