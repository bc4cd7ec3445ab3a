"""Group-relative policy optimisation as a page of pure functions (Shao et al., DeepSeekMath, 2024, Eqs. 3-4).

    A_i = (r_i - mean(r)) / (std(r) + eps)                           within one entity's group of G draws
    J   = mean_i min(rho_i A_i, clip(rho_i, 1 - eps_low, 1 + eps_high) A_i) - beta KL(pi || pi_ref)
    rho_i = pi(k_i) / pi_old(k_i)

With one inner epoch rho = 1, so the *value* of J's first term is mean_i A_i = 0 while its gradient is not: a loss that
reads 0 is no sign of a policy that does not learn. Departures: std is the population's (a group of one has A = 0); a
policy over K listed candidates has its KL in closed form, and `k3` is the estimator for policies where it has none.
`scale_std=False` leaves the division out (Liu et al., Dr. GRPO, 2025), which otherwise favours groups of small spread.
"""

from __future__ import annotations

import torch
from torch import Tensor


def group_advantage(reward: Tensor, *, scale_std: bool = True, eps: float = 1e-4) -> Tensor:
    """A = (r - mean r) / (std r + eps) within each row of `reward` (n, G); exactly 0 where all rewards are equal."""
    centred = reward - reward.mean(dim=1, keepdim=True)
    advantage = centred / (reward.std(dim=1, keepdim=True, correction=0) + eps) if scale_std else centred
    return advantage.masked_fill(zero_std(reward)[:, None], 0.0)


def zero_std(reward: Tensor) -> Tensor:
    """(n,) bool: groups (n, G) whose rewards are all equal. They hold no preference and teach nothing."""
    return reward.amax(dim=1) == reward.amin(dim=1)


def clipped_objective(log_ratio: Tensor, advantage: Tensor, eps_low: float, eps_high: float) -> Tensor:
    """min(rho A, clip(rho, 1 - eps_low, 1 + eps_high) A) per draw, rho = exp(log_ratio); to be maximised."""
    rho = log_ratio.exp()
    return torch.minimum(rho * advantage, rho.clamp(1 - eps_low, 1 + eps_high) * advantage)


def clip_fraction(log_ratio: Tensor, advantage: Tensor, eps_low: float, eps_high: float) -> Tensor:
    """() share of the draws whose gradient the clip has cut off: rho beyond the side that A pushes it towards."""
    rho = log_ratio.exp()
    cut = ((rho > 1 + eps_high) & (advantage > 0)) | ((rho < 1 - eps_low) & (advantage < 0))
    return cut.float().mean()


def categorical_kl(policy_logits: Tensor, reference_logits: Tensor) -> Tensor:
    """KL(pi || pi_ref) = sum_k pi_k (log pi_k - log pi_ref,k) per row of logits (n, K) -> (n,), exact."""
    log_pi, log_ref = policy_logits.log_softmax(dim=-1), reference_logits.log_softmax(dim=-1)
    return (log_pi.exp() * (log_pi - log_ref)).sum(dim=-1)


def k3(log_policy: Tensor, log_reference: Tensor) -> Tensor:
    """r - log r - 1, r = pi_ref / pi at the drawn k: unbiased for KL(pi || pi_ref), never negative (Schulman, 2020)."""
    log_r = log_reference - log_policy
    return log_r.exp() - log_r - 1


def entropy(logits: Tensor) -> Tensor:
    """-sum_k pi_k log pi_k per row of logits (n, K) -> (n,)."""
    log_pi = logits.log_softmax(dim=-1)
    return -(log_pi.exp() * log_pi).sum(dim=-1)
