"""Schedules against their formulas, steps against Bayes' rule, and the affine fold against the loop it replaces."""

import math

import numpy as np
import pytest
import torch

from pte.nn import diffusion

STEPS = 50


@pytest.mark.parametrize("schedule", diffusion.SCHEDULES)
@pytest.mark.parametrize("steps", [10, 500, 2000])
def test_every_schedule_goes_from_signal_to_noise(schedule, steps):
    beta = diffusion.betas(schedule, steps)
    alpha_bar = (1 - beta).cumprod(0)
    assert beta.shape == (steps,)
    assert beta.min() > 0
    assert beta.max() < 1
    assert alpha_bar.diff().max() < 0
    if steps >= 500:
        assert alpha_bar[0] > 0.95
        assert alpha_bar[-1] < 0.01


def test_schedules_by_hand():
    assert diffusion.betas("linear", 3).tolist() == pytest.approx([1e-4, 0.01005, 0.02])
    # exp, T = 2: x = 1, 5; beta = 1 - exp(-.1/2 - x 9.9/8)
    expected = [1 - math.exp(-0.05 - x * 9.9 / 8) for x in (1, 5)]
    assert diffusion.betas("exp", 2).tolist() == pytest.approx(expected)
    # sqrt, T = 2: alpha_bar(0) = .99, alpha_bar(1/2) = 1 - sqrt(.5001), alpha_bar(1) < 0 is clipped
    assert diffusion.betas("sqrt", 2).tolist() == pytest.approx([1 - (1 - math.sqrt(0.5001)) / 0.99, 0.999])
    f = [math.cos((t / 4 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(5)]
    assert diffusion.betas("cosine", 4)[:3].tolist() == pytest.approx([1 - f[i + 1] / f[i] for i in range(3)])


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match=r"quadratic.*linear"):
        diffusion.betas("quadratic", 5)


def test_noised_keeps_unit_variance():
    x_0, eps = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, -2.0]])
    x_t = diffusion.noised(x_0, eps, torch.tensor([[0.36]]))
    assert x_t.tolist()[0] == pytest.approx([0.6 * 3 + 0.8, -1.6])


def test_the_posterior_is_bayes_rule():
    """q(x_{t-1} | x_t, x_0) from two known Gaussians: N(sqrt(ab') x_0, 1 - ab') times N(x_t; sqrt(alpha) x, beta)."""
    beta = diffusion.betas("linear", STEPS)
    chain, alpha_bar = diffusion.ddpm(beta), (1 - beta).cumprod(0)
    for t in (1, 7, STEPS - 1):
        step = STEPS - 1 - t
        assert chain.time[step] == t
        precision = 1 / (1 - alpha_bar[t - 1]) + (1 - beta[t]) / beta[t]
        assert chain.sigma[step] ** 2 == pytest.approx(1 / precision)
        assert chain.a[step] == pytest.approx(alpha_bar[t - 1].sqrt() / (1 - alpha_bar[t - 1]) / precision)
        assert chain.b[step] == pytest.approx((1 - beta[t]).sqrt() / beta[t] / precision)


@pytest.mark.parametrize("chain", ["ddpm", "ddim1", "ddim7"])
def test_the_last_step_returns_the_prediction(chain):
    made = make(chain)
    assert made.time[0] == STEPS - 1
    assert (made.a[-1].item(), made.b[-1].item(), made.sigma[-1].item()) == pytest.approx((1, 0, 0), abs=1e-12)


def make(name):
    beta = diffusion.betas("cosine", STEPS)
    return diffusion.ddpm(beta) if name == "ddpm" else diffusion.ddim(beta, int(name[4:]))


def test_a_perfect_denoiser_recovers_x_0():
    x_0, x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    for name in ("ddpm", "ddim1", "ddim7"):
        found = diffusion.sample(make(name), lambda x, step: x_0, x, torch.Generator().manual_seed(1))
        torch.testing.assert_close(found, x_0)


def test_ddim_keeps_the_noise_on_its_path():
    """With the true x_0, x_t built from eps must go to x_s built from the same eps."""
    beta = diffusion.betas("linear", STEPS)
    chain, alpha_bar = diffusion.ddim(beta, 7), (1 - beta).cumprod(0)
    x_0, eps = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for step in range(len(chain.time) - 1):
        t, s = chain.time[step], chain.time[step + 1]
        moved = chain.a[step] * x_0 + chain.b[step] * diffusion.noised(x_0, eps, alpha_bar[t].view(1, 1))
        torch.testing.assert_close(moved, diffusion.noised(x_0, eps, alpha_bar[s].view(1, 1)))


def affine(width=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = 0.4 * torch.randn(width, width, generator=generator) / math.sqrt(width) + 0.3 * torch.eye(width)
    shift = torch.randn(STEPS, width, generator=generator)
    return weight, shift, torch.randn(4, width, generator=generator)


@pytest.mark.parametrize("name", ["ddpm", "ddim1", "ddim7"])
def test_fold_equals_the_loop_without_noise(name):
    weight, shift, u = affine()
    chain = make(name)
    shift = shift[: len(chain.time)]
    quiet = diffusion.Chain(chain.time, chain.a, chain.b, torch.zeros_like(chain.sigma))
    folded = diffusion.fold(chain, weight, shift)
    mean = diffusion.sample(quiet, lambda x, k: x @ weight.T + u + shift[k], torch.zeros_like(u))
    torch.testing.assert_close(folded(u, torch.zeros_like(u)), mean, rtol=1e-5, atol=1e-5)


def test_fold_equals_the_loop_with_noise_in_law():
    """Means and covariances of 200,000 simulated chains; five standard errors of each entry."""
    weight, shift, u = affine(width=3)
    count, chain = 200_000, make("ddpm")
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 3, generator=generator)
    simulated = diffusion.sample(chain, lambda x, k: x @ weight.T + u[0] + shift[k], x, generator).double().numpy()
    folded = diffusion.fold(chain, weight, shift)
    drawn = folded(u[:1], torch.randn(count, 3, generator=generator)).double().numpy()
    covariance = (folded.root @ folded.root.T).double().numpy()
    spread = np.sqrt(np.diag(covariance))
    for sample in (simulated, drawn):
        error = sample.mean(axis=0) - folded(u[:1], torch.zeros(1, 3))[0].numpy()
        assert np.abs(error / spread).max() < 5 / math.sqrt(count)
        assert np.abs((np.cov(sample.T) - covariance) / np.outer(spread, spread)).max() < 5 * math.sqrt(2 / count)
    assert np.abs(np.corrcoef(simulated.T)[0, 1]) > 0.01  # else the test could not see a wrong off-diagonal


def test_fold_of_the_deterministic_chain_is_exact_for_every_start():
    weight, shift, u = affine()
    chain = make("ddim7")
    shift = shift[: len(chain.time)]
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    looped = diffusion.sample(chain, lambda x, k: x @ weight.T + u + shift[k], x)
    from_zero = diffusion.sample(chain, lambda x, k: x @ weight.T + u + shift[k], torch.zeros_like(x))
    # what is left of the start has the folded covariance: P_0 P_0^T for P_0 read off unit starts
    linear = diffusion.sample(chain, lambda x, k: x @ weight.T, torch.eye(6)).T
    torch.testing.assert_close(looped - from_zero, x @ linear.T, rtol=1e-4, atol=1e-5)
    root = diffusion.fold(chain, weight, shift).root
    torch.testing.assert_close(root @ root.T, linear @ linear.T, rtol=1e-4, atol=1e-5)


def test_sampling_is_a_function_of_its_generator():
    x = torch.zeros(2, 3)
    runs = [
        diffusion.sample(make("ddpm"), lambda x, k: 0.5 * x, x, torch.Generator().manual_seed(s)) for s in (0, 0, 1)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_sinusoid_tells_times_apart():
    code = diffusion.sinusoid(torch.arange(2000), 16)
    assert code.shape == (2000, 16)
    assert code[0].tolist() == pytest.approx([0.0] * 8 + [1.0] * 8)
    assert torch.cdist(code.double(), code.double()).fill_diagonal_(1).min() > 1e-2
    assert diffusion.sinusoid(torch.arange(3), 5).shape == (3, 5)
