"""Denoising diffusion on vectors: schedules, the noised sample, reverse steps, an exact shortcut for affine denoisers.

Forward, for t = 0..T-1 (Ho et al., DDPM, NeurIPS 2020, Eq. 2 and 4), and the form of every reverse step used here:

    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps,    alpha_bar_t = prod_{s<=t} (1 - beta_s)
    x_next = a xhat_0 + b x_t + sigma z,    z ~ N(0, I)

where the denoiser predicts x_0 as xhat_0. a, b and sigma are those of DDPM's posterior (Eq. 7) or of DDIM's
deterministic step (Song et al., ICLR 2021, Eq. 12); a `Chain` lists them from pure noise to x_0. The schedules are
those of DreamRec's code (Yang et al., NeurIPS 2023).

**An affine denoiser needs no loop.** Let xhat_0 = W x_t + u + v_t, where u does not depend on t. A step is then
x_next = M_t x_t + a_t (u + v_t) + sigma_t z_t with M_t = a_t W + b_t I. Number the S steps 1..S in the order they are
taken and let P_S = I, P_{k-1} = P_k M_k: P_k carries what is added in step k to the end. Unrolling,

    x_0 = P_0 x_T + sum_k P_k a_k (u + v_k) + sum_k P_k sigma_k z_k .

The first and last terms are independent Gaussians with mean 0, hence x_0 given u is exactly

    N( K u + m, C ),  K = sum_k a_k P_k,  m = sum_k a_k P_k v_k,  C = P_0 P_0^T + sum_k sigma_k^2 P_k P_k^T .

`fold` makes K, m and C by one pass from the last step to the first, in fp64: S products of (D, D) matrices in all,
however many users are then scored. Classifier-free guidance keeps the form: (1 + w) f(x, c) - w f(x, null) is affine in
x with the same W (for its weights 1 + w and -w add to 1) and u = W_c ((1 + w) c - w null).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pte.nn.noise import Noise, standard_normal
from pte.schema import InputError, require

MOST_STEPS = 100_000
SCHEDULES = ("linear", "cosine", "exp", "sqrt")


@dataclass(frozen=True)
class Diffusion:
    """The forward process and how histories guide the reverse one. uncondition: the probability that training hides the
    history; guidance: w of (1 + w) f(x, c) - w f(x, null).
    """

    schedule: str
    steps: int
    guidance: float
    uncondition: float

    def __post_init__(self) -> None:
        name = "backbone.diffusion"
        require(1 <= self.steps <= MOST_STEPS, f"{name}.steps", self.steps, f"give a whole number, 1 to {MOST_STEPS}")
        require(
            self.guidance >= 0, f"{name}.guidance", self.guidance, "it pulls towards the history, so give 0 or more"
        )
        require(0 <= self.uncondition < 1, f"{name}.uncondition", self.uncondition, "a probability, from 0 to below 1")
        self.betas()

    def betas(self) -> Tensor:
        """(T,) float64."""
        return betas(self.schedule, self.steps)


def betas(schedule: str, steps: int) -> Tensor:
    """(T,) float64 variances beta_t of a named schedule, with the constants of DreamRec's code."""
    match schedule:
        case "linear":  # Ho et al., Sec. 4
            return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)
        case "cosine":  # Nichol & Dhariwal, ICML 2021, Eq. 17
            return _from_alpha_bar(lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2, steps).clamp(
                1e-4, 0.9999
            )
        case "exp":  # 1 - exp(-beta_min / T - x_t (beta_max - beta_min) / (2 T^2)), x_t = 1, 3, .., 2T + 1
            x = torch.linspace(1, 2 * steps + 1, steps, dtype=torch.float64)
            return 1 - torch.exp(-0.1 / steps - x * 0.5 * (10 - 0.1) / steps**2)
        case "sqrt":  # Li et al., Diffusion-LM, NeurIPS 2022, App. A
            return _from_alpha_bar(lambda t: 1 - math.sqrt(t + 1e-4), steps).clamp(max=0.999)
    raise InputError(f"backbone.diffusion.schedule={schedule}: take one of {', '.join(SCHEDULES)}")


def _from_alpha_bar(alpha_bar: Callable[[float], float], steps: int) -> Tensor:
    """beta_t = 1 - alpha_bar((t + 1) / T) / alpha_bar(t / T)."""
    at = torch.tensor([alpha_bar(t / steps) for t in range(steps + 1)], dtype=torch.float64)
    return 1 - at[1:] / at[:-1]


def noised(x_0: Tensor, eps: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps    (DDPM, Eq. 4); x_0, eps (B, D), alpha_bar_t (B, 1)."""
    return alpha_bar_t.sqrt() * x_0 + (1 - alpha_bar_t).sqrt() * eps


@dataclass(frozen=True)
class Chain:
    """The reverse steps in the order they are taken: x <- a xhat_0(x, time) + b x + sigma z."""

    time: Tensor  # (S,) int64, time index given to the denoiser; falls from T-1
    a: Tensor  # (S,) float64
    b: Tensor
    sigma: Tensor


def ddpm(beta: Tensor) -> Chain:
    """All T ancestral steps with the posterior's mean and variance (DDPM, Eq. 7).

    a_t = beta_t sqrt(alpha_bar_{t-1}) / (1 - alpha_bar_t),
    b_t = (1 - alpha_bar_{t-1}) sqrt(alpha_t) / (1 - alpha_bar_t),
    sigma_t^2 = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t); alpha_bar_{-1} = 1, so the last step adds no noise.
    """
    alpha_bar = (1 - beta).cumprod(0)
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    a = beta * before.sqrt() / (1 - alpha_bar)
    b = (1 - before) * (1 - beta).sqrt() / (1 - alpha_bar)
    sigma = (beta * (1 - before) / (1 - alpha_bar)).sqrt()
    return Chain(torch.arange(len(beta)).flip(0), a.flip(0), b.flip(0), sigma.flip(0))


def ddim(beta: Tensor, stride: int) -> Chain:
    """Deterministic steps t -> t - stride, the last one to x_0 itself (DDIM, Eq. 12 with sigma = 0).

    x_s = sqrt(alpha_bar_s) xhat_0 + sqrt(1 - alpha_bar_s) (x_t - sqrt(alpha_bar_t) xhat_0) / sqrt(1 - alpha_bar_t).
    """
    if not 1 <= stride <= len(beta):
        raise InputError(f"backbone.sampler.stride={stride}: give 1 to backbone.diffusion.steps={len(beta)}")
    time = torch.arange(len(beta) - 1, -1, -stride)
    alpha_bar = (1 - beta).cumprod(0)[time]
    after = torch.cat([alpha_bar[1:], alpha_bar.new_ones(1)])
    b = ((1 - after) / (1 - alpha_bar)).sqrt()
    return Chain(time, after.sqrt() - b * alpha_bar.sqrt(), b, torch.zeros_like(b))


def sample(chain: Chain, denoise: Callable[[Tensor, int], Tensor], x: Tensor, noise: Noise = None) -> Tensor:
    """x_0 from pure noise x (B, D): the loop over a chain, with `denoise(x, step)` -> xhat_0 (B, D) for step 0..S-1."""
    for step, (a, b, sigma) in enumerate(zip(chain.a.tolist(), chain.b.tolist(), chain.sigma.tolist(), strict=True)):
        x = a * denoise(x, step) + b * x
        if sigma > 0:
            x = x + sigma * standard_normal(x.shape, noise, x.device)
    return x


@dataclass(frozen=True)
class Fold:
    """x_0 given u is N(u K^T + m, root root^T): the whole reverse chain of an affine denoiser, vectors as rows."""

    weight: Tensor  # (D, D), K
    mean: Tensor  # (D,), m
    root: Tensor  # (D, D), any square root of C

    def __call__(self, u: Tensor, z: Tensor) -> Tensor:
        """Samples (B, D) for u (B, D) from standard normal z (B, D); z = 0 gives the means."""
        return u @ self.weight.T + self.mean + z @ self.root.T


def mean_map(chain: Chain, weight: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """K (D, D) and m (D,) of `fold` alone, through which gradients flow; in the dtype of weight and shift."""
    K, m = torch.zeros_like(weight), torch.zeros_like(shift[0])
    for P, a, v_k in zip(_carries(chain, weight), chain.a.flip(0).tolist(), shift.flip(0), strict=False):
        K, m = K + a * P, m + a * (P @ v_k)
    return K, m


def _carries(chain: Chain, weight: Tensor) -> Iterator[Tensor]:
    """P_S, ..., P_1, P_0: what carries the addends of each step to the end, from the last step to the start."""
    P = torch.eye(len(weight)).to(weight)
    for a, b in zip(chain.a.flip(0).tolist(), chain.b.flip(0).tolist(), strict=True):
        yield P
        P = a * (P @ weight) + b * P  # P_{k-1} = P_k M_k
    yield P


def fold(chain: Chain, weight: Tensor, shift: Tensor) -> Fold:
    """K, m and C for a denoiser xhat_0 = W x + u + v_k: W (D, D), v (S, D) in the chain's order. Sums in fp64."""
    W, v = weight.double(), shift.double()
    K, m = mean_map(chain, W, v)
    C = torch.zeros_like(W)
    for P, sigma in zip(_carries(chain, W), [*chain.sigma.flip(0).tolist(), 1.0], strict=True):  # x_T has variance 1
        if sigma > 0:
            C += sigma**2 * (P @ P.T)
    value, vector = torch.linalg.eigh(C)
    root = vector * value.clamp_min(0).sqrt()  # C may be singular: DDIM, or a denoiser that forgets a direction
    return Fold(K.to(weight.dtype), m.to(weight.dtype), root.to(weight.dtype))


def sinusoid(time: Tensor, width: int) -> Tensor:
    """sin and cos of t 10000^{-2j / D} side by side, (S,) -> (S, D): the transformer's code of a position."""
    half = width // 2
    rate = torch.exp(-math.log(10000) * torch.arange(half, device=time.device) / max(half - 1, 1))
    angle = time[:, None].float() * rate
    return torch.nn.functional.pad(torch.cat([angle.sin(), angle.cos()], dim=1), (0, width % 2))
