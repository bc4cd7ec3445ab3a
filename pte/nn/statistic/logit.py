"""Conditional logit: one weight per feature, shared by all choices, by maximum likelihood of the choices made.

    P(j | case) = exp(theta . phi_j) / sum_i exp(theta . phi_i)        McFadden, 1974; i over the candidates left

The log-likelihood is concave, so Newton's steps reach its one maximum in a handful of passes, without a
learning rate and without chance. A ridge of `ridge` per case towards `prior` keeps it there where features depend on
each other, and keeps it near `prior` where cases are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Choices:
    """Some cases with their candidates."""

    feature: Tensor  # (K, B, N) float32
    target: Tensor  # (B,) int64, column of the choice
    absent: Tensor  # (B, N) bool: no candidate, such as what a masked ranking leaves out; never the target


def fit(
    cases: Callable[[], Iterable[Choices]], size: int, *, ridge: float, prior: Tensor | None = None, steps: int = 25
) -> tuple[Tensor, float]:
    """theta (K,) float64 and the mean log-likelihood; `cases()` gives all of them anew at every call.

    prior: (K,), what the ridge pulls to; None: zeros.
    """
    prior = torch.zeros(size, dtype=torch.float64) if prior is None else prior.double()
    theta = prior.clone()
    value, gradient, curvature = likelihood(cases(), theta, ridge, prior)
    for _ in range(steps):
        step = torch.linalg.solve(curvature, gradient)
        if float(step @ gradient) < 1e-9:  # twice what is still to be gained per case
            break
        while True:  # half as far until it gains: far from the maximum the parabola may overshoot
            proposal = likelihood(cases(), theta + step, ridge, prior)
            if proposal[0] >= value or float(step.abs().max()) < 1e-9:
                break
            step = step / 2
        theta, (value, gradient, curvature) = theta + step, proposal
    return theta, value


def likelihood(
    cases: Iterable[Choices], theta: Tensor, ridge: float, prior: Tensor | float = 0.0
) -> tuple[float, Tensor, Tensor]:
    """Mean of log P less ridge |theta - prior|^2 / 2, its gradient (K,), minus its second derivatives (K, K)."""
    size = len(theta)
    value, gradient = 0.0, torch.zeros(size, dtype=torch.float64)
    curvature, count = torch.zeros(size, size, dtype=torch.float64), 0
    for part in cases:
        score = torch.einsum("k,kbn->bn", theta.to(part.feature), part.feature).masked_fill_(part.absent, -torch.inf)
        log_p = score.log_softmax(dim=1)
        own = part.target[:, None]
        p = log_p.exp()
        weighted = part.feature * p
        mean = weighted.sum(dim=2)  # (K, B)
        own_feature = part.feature.gather(2, own.expand(size, -1, 1))[:, :, 0]
        value += float(log_p.gather(1, own).double().sum())
        gradient += (own_feature - mean).double().sum(dim=1).cpu()
        second = weighted.flatten(1) @ part.feature.flatten(1).T
        curvature += (second.double() - mean.double() @ mean.double().T).cpu()
        count += len(own)
    count = max(1, count)
    eye = torch.eye(size, dtype=torch.float64)
    return (
        value / count - ridge * float((theta - prior).square().sum()) / 2,
        gradient / count - ridge * (theta - prior),
        curvature / count + ridge * eye,
    )
