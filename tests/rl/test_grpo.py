"""The six oracles of group-relative policy optimisation, by enumeration and by optimisation of a three-way choice."""

import itertools
import math

import pytest
import torch

from pte.rl.grpo import categorical_kl, clip_fraction, clipped_objective, entropy, group_advantage, k3, zero_std


def test_one_inner_epoch_has_zero_loss_and_a_gradient():
    """Oracle 1: at rho = 1 the objective's value is mean(A) = 0; its gradient is not."""
    logits = torch.tensor([[0.3, -0.2, 0.1]], requires_grad=True)
    drawn = torch.tensor([[0, 1, 2, 2]])
    log_pi = logits.log_softmax(-1).gather(1, drawn)
    advantage = group_advantage(torch.tensor([[1.0, 0.0, 3.0, 3.0]]))
    objective = clipped_objective(log_pi - log_pi.detach(), advantage, 0.2, 0.2).mean()
    assert objective.item() == pytest.approx(0, abs=1e-6)
    objective.backward()
    assert logits.grad.abs().max() > 0.1


def test_expected_gradient_is_the_policy_gradient():
    """Oracle 2: over all K^G groups, E[grad J] = (G-1)/G sum_k pi_k (r_k - r_bar) grad log pi_k (own draw in mean)."""
    reward, size = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), 3
    logits = torch.tensor([[0.4, -0.1, 0.2]], dtype=torch.float64, requires_grad=True)
    log_pi = logits.log_softmax(-1)[0]
    expected = torch.zeros(1, 3, dtype=torch.float64)
    for group in itertools.product(range(3), repeat=size):
        drawn = torch.tensor(group)
        chance = log_pi.detach()[drawn].sum().exp()
        advantage = group_advantage(reward[drawn][None], scale_std=False)
        objective = clipped_objective((log_pi[drawn] - log_pi[drawn].detach())[None], advantage, 0.2, 0.2).mean()
        expected += chance * torch.autograd.grad(objective, logits, retain_graph=True)[0]
    pi = log_pi.detach().exp()
    surrogate = (pi * (reward - pi @ reward) * log_pi).sum()
    truth = torch.autograd.grad(surrogate, logits)[0]
    torch.testing.assert_close(expected, (size - 1) / size * truth)


def test_equal_rewards_have_zero_gradient():
    """Oracle 3. 0.1 is not representable: the mean of equal floats may differ from them, the advantage must not."""
    logits = torch.randn(1, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    log_pi = logits.log_softmax(-1)[:, [0, 1, 2, 0, 1, 2, 2]]
    reward = torch.full((1, 7), 0.1)
    assert zero_std(reward).all()
    clipped_objective(log_pi - log_pi.detach(), group_advantage(reward), 0.2, 0.2).mean().backward()
    assert torch.equal(logits.grad, torch.zeros(1, 3))


def optimise(reward: torch.Tensor, beta: float, steps: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    reference = torch.tensor([[0.5, 0.0, -0.5]])
    logits = reference.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.02)
    for _ in range(steps):
        drawn = torch.multinomial(logits.detach().softmax(-1), 8, replacement=True, generator=generator)
        log_pi = logits.log_softmax(-1).gather(1, drawn)
        gain = clipped_objective(log_pi - log_pi.detach(), group_advantage(reward[drawn]), 0.2, 0.2).mean()
        loss = -gain + beta * categorical_kl(logits, reference).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return logits.detach().softmax(-1)[0], reference.softmax(-1)[0]


def test_a_heavy_kl_keeps_the_reference():
    """Oracle 4. At beta = 1000 the pull back outweighs a unit advantage; Adam still steps by lr = .02."""
    policy, reference = optimise(torch.tensor([0.0, 0.0, 1.0]), beta=1000.0)
    assert (policy - reference).abs().max() < 0.03


def test_one_rewarded_choice_is_found():
    """Oracle 5: from a chance of 19 % to near certainty."""
    policy, reference = optimise(torch.tensor([0.0, 0.0, 1.0]), beta=0.0)
    assert reference[2] < 0.2
    assert policy[2] > 0.97


@pytest.mark.parametrize("scale_std", [True, False])
def test_advantage_ignores_shift_and_scale(scale_std):
    """Oracle 6: A(a r + b) = A(r) for a > 0 up to eps / std; without the division it scales with a."""
    reward = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    moved = group_advantage(5 * reward - 3, scale_std=scale_std, eps=1e-6)
    still = group_advantage(reward, scale_std=scale_std, eps=1e-6)
    torch.testing.assert_close(moved, still if scale_std else 5 * still, atol=2e-5, rtol=0)


def test_advantage_by_hand():
    got = group_advantage(torch.tensor([[1.0, 3.0], [2.0, 2.0]]), eps=0.0)
    assert got.tolist() == [[-1, 1], [0, 0]]
    assert group_advantage(torch.tensor([[4.0]])).tolist() == [[0]]


def test_clip_by_hand():
    log_ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1]).log()
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0])
    got = clipped_objective(log_ratio, advantage, 0.2, 0.28)
    assert got.tolist() == pytest.approx([1.28, -1.5, 0.5, -0.8, 2.2])
    assert clip_fraction(log_ratio, advantage, 0.2, 0.28).item() == pytest.approx(2 / 5)


def test_kl_by_hand_and_by_sampling():
    policy, reference = torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5]]).log()
    exact = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert categorical_kl(policy, reference).item() == pytest.approx(exact)
    estimate = 0.75 * k3(policy, reference)[0, 0] + 0.25 * k3(policy, reference)[0, 1]  # its expectation under pi
    assert estimate.item() == pytest.approx(exact, abs=1e-6)
    assert (k3(policy, reference) >= 0).all()
    assert categorical_kl(policy + 7, policy).item() == pytest.approx(0, abs=1e-6)  # logits have no origin


def test_entropy_by_hand():
    assert entropy(torch.zeros(1, 4)).item() == pytest.approx(math.log(4))
    assert entropy(torch.tensor([[0.0, -1e4]])).item() == pytest.approx(0, abs=1e-6)
