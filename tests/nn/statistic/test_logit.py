"""Conditional logit against plain references."""

import torch

from pte.nn.statistic.logit import Choices, fit, likelihood

GENERATOR = torch.Generator().manual_seed(0)
FEATURE = torch.randn(3, 40, 7, generator=GENERATOR)
ABSENT = torch.rand(40, 7, generator=GENERATOR) < 0.2
TARGET = torch.distributions.Categorical(logits=FEATURE[0].masked_fill(ABSENT, -torch.inf)).sample()
ABSENT[torch.arange(40), TARGET] = False


def cases():
    for part in torch.arange(40).split(16):
        yield Choices(FEATURE[:, part], TARGET[part], ABSENT[part])


def plain(theta: torch.Tensor, ridge: float) -> torch.Tensor:
    score = torch.einsum("k,kbn->bn", theta, FEATURE.double()).masked_fill(ABSENT, -torch.inf)
    return score.log_softmax(1)[torch.arange(40), TARGET].mean() - ridge * theta.square().sum() / 2


def test_value_gradient_and_curvature_are_autograd_s():
    theta = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
    value, gradient, curvature = likelihood(cases(), theta, 0.01)
    assert abs(value - float(plain(theta, 0.01))) < 1e-6
    torch.testing.assert_close(gradient, torch.func.grad(plain)(theta, 0.01), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(curvature, -torch.func.hessian(plain)(theta, 0.01), rtol=1e-4, atol=1e-6)


def test_gradient_against_finite_differences():
    theta, h = torch.tensor([0.1, 0.2, -0.4], dtype=torch.float64), 1e-5
    _, gradient, _ = likelihood(cases(), theta, 0.0)
    for k in range(3):
        step = h * torch.eye(3, dtype=torch.float64)[k]
        slope = (plain(theta + step, 0.0) - plain(theta - step, 0.0)) / (2 * h)
        assert abs(float(gradient[k] - slope)) < 1e-5


def test_the_fit_is_at_the_maximum():
    theta, value = fit(cases, 3, ridge=1e-4)
    assert float(torch.func.grad(plain)(theta, 1e-4).abs().max()) < 1e-4
    assert value >= float(plain(torch.zeros(3, dtype=torch.float64), 1e-4))
    assert torch.equal(theta, fit(cases, 3, ridge=1e-4)[0])


def test_features_that_depend_on_each_other_share_a_weight():
    def doubled():
        for part in cases():
            yield Choices(torch.cat([part.feature, part.feature[:1]]), part.target, part.absent)

    theta, _ = fit(doubled, 4, ridge=1e-4)
    assert abs(float(theta[0] - theta[3])) < 1e-3
