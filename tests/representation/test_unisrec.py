"""UniSRec's adaptor against numpy loops; its noise and its dropout are there in training and only then."""

import numpy as np
import pytest
import torch
from helper.representation import NUM_ITEMS, made, vectors


def filled(**knobs):
    """Weights that are not the start's zeros, so that every term of the formula shows."""
    model = made("unisrec", **{"experts": 3, **knobs})
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    return model


@pytest.mark.parametrize("transductive", [False, True])
def test_table_is_the_formula(transductive):
    model = filled(transductive=transductive).eval()
    text = vectors()[1:].double().numpy()
    w, b, gate = (p.detach().double().numpy() for p in (model.weight, model.bias, model.gate))
    for i, row in enumerate(model.table()[1:].detach().numpy()):
        g = np.exp(text[i] @ gate) / np.exp(text[i] @ gate).sum()
        expected = sum(g[k] * (w[k] @ (text[i] - b[k])) for k in range(3))
        if transductive:
            expected = expected + model.own[i].detach().numpy()
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


def test_gates_are_noisy_in_training_with_the_stated_spread():
    """log g_0 - log g_1 has variance s_0^2 + s_1^2 with s = softplus(x W_n) + .01, around the clean difference."""
    model = filled(experts=2)
    with torch.no_grad():
        model.noise.mul_(0.3)
        model.gate.mul_(0.3)
    draws = torch.stack([model.gates().detach() for _ in range(4000)]).double()  # (4000, N, 2)
    assert torch.allclose(draws.sum(dim=2), torch.ones(4000, NUM_ITEMS, dtype=torch.float64), atol=1e-6)
    apart = draws[..., 0].log() - draws[..., 1].log()
    text = vectors()[1:]
    spread = torch.nn.functional.softplus(text @ model.noise.detach()) + 0.01
    clean = text @ model.gate.detach()
    standard = spread.square().sum(dim=1).sqrt()
    # 4,000 draws: the mean's standard error is .016 of a standard deviation, that of the deviation 1.1 %
    assert ((apart.mean(dim=0) - (clean[:, 0] - clean[:, 1])).abs() < 0.08 * standard).all()
    assert apart.std(dim=0) == pytest.approx(standard.double().numpy(), rel=0.06)


def test_evaluation_draws_nothing_training_does():
    model = filled()
    assert not torch.equal(model.table(), model.table())
    model.eval()
    assert torch.equal(model.table(), model.table())


def test_start_is_an_even_mixture_with_no_free_vector():
    model = made("unisrec", experts=4).eval()
    assert torch.equal(model.gates(), torch.full((NUM_ITEMS, 4), 0.25))
    assert model.free_per_item == 0
    transductive = made("unisrec", transductive=True)
    assert transductive.free_per_item == transductive.width
    assert not transductive.own.any()


def test_gate_noise_and_every_expert_learn():
    model = filled()
    model.table().square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().flatten(1).sum(dim=1).min() > 0, name
