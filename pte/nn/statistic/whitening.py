"""Principal axes of a set of vectors, and what is made of them: PCA, PCA whitening, ZCA whitening.

With mean mu and covariance Sigma = U Lambda U^T of the rows of L, each row with weight 1/n, eigenvalues falling:

    PCA            (L - mu) U_{:, :d}
    PCA whitening  (L - mu) U_{:, :d} Lambda_{:d}^{-1/2}             covariance I
    ZCA whitening  (L - mu) U Lambda^{-1/2} U^T                      covariance I, nearest to L - mu

Directions without variance have no inverse root, so Lambda + eps mean(Lambda) takes Lambda's place in it. Eigenvectors
have no sign of their own; the largest entry of each is made positive, so that the order of the rows does not matter.
Worked out in fp64 on the CPU, once, when a model is made; of vectors on the meta device only shapes are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pte.schema import InputError, require

_BLOCK = 2**16  # rows that are fp64 at a time


@dataclass(frozen=True)
class Axes:
    """mu, U and Lambda of some vectors, fp64."""

    mean: Tensor  # (d,)
    basis: Tensor  # (d, d), one axis per column
    variance: Tensor  # (d,), falling, not negative

    def project(self, vectors: Tensor, width: int) -> Tensor:
        """PCA: (n, d) -> (n, width) float64."""
        return (vectors.to(self.mean) - self.mean) @ self.basis[:, :width]

    def whiten(self, vectors: Tensor, width: int, eps: float, knob: str = "representation") -> Tensor:
        """PCA whitening: (n, d) -> (n, width) float64; knob: whose eps it is, for the error."""
        require(0 <= eps <= 10, f"{knob}.eps", eps, "give a number from 0 to 10")
        ridge = (self.variance + eps * self.variance.mean()).clamp_min(torch.finfo(torch.float64).tiny)
        return self.project(vectors, width) / ridge[:width].sqrt()


def axes(vectors: Tensor) -> Axes:
    """Mean and principal axes of the rows of (n, d)."""
    blocks = vectors.detach().to("meta" if vectors.is_meta else "cpu").split(_BLOCK)
    count = max(1, len(vectors))
    mean = torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0) / count
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
    for block in blocks:
        centred = block.double() - mean
        covariance.addmm_(centred.T, centred)
    variance, basis = torch.linalg.eigh(covariance / count)  # rising
    variance, basis = variance.flip(0).clamp_min(0), basis.flip(1)
    return Axes(mean, basis * basis.gather(0, basis.abs().argmax(dim=0, keepdim=True)).sign(), variance)


def axis_count(vectors: Tensor, components: int | None, knob: str) -> int:
    """How many principal axes of (n, d) to take: `components`, or all that can vary where it is None."""
    if components is None:
        return min(vectors.shape[1], len(vectors) - 1)
    if not 1 <= components <= vectors.shape[1]:
        raise InputError(f"{knob}.components={components}: type a number from 1 to {vectors.shape[1]}, or null")
    return components


def whitened(vectors: Tensor, components: int, eps: float, knob: str = "representation") -> Tensor:
    """PCA whitening: (n, d) -> (n, components), unit variance on each of the first principal axes; float32."""
    of, white = axes(vectors), vectors.new_empty(len(vectors), components, dtype=torch.float32)
    for block, out in zip(vectors.split(_BLOCK), white.split(_BLOCK), strict=True):
        out.copy_(of.whiten(block, components, eps, knob))
    return white


def zca_whitened(vectors: Tensor, eps: float, groups: int = 1) -> Tensor:
    """(n, d) -> (n, d) float32, each of `groups` equal blocks of columns whitened by itself to covariance I."""
    blocks = []
    for block in vectors.chunk(groups, dim=1):
        own = axes(block)
        parts = (own.whiten(rows, rows.shape[1], eps) @ own.basis.T for rows in block.split(_BLOCK))
        blocks.append(torch.cat([part.float() for part in parts]))
    return torch.cat(blocks, dim=1)
