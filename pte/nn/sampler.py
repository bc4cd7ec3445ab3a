"""How x_0 is sampled: which steps of the reverse chain are taken, and whether they are folded into one map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from pte.nn.diffusion import Chain, ddim, ddpm


class Sampler(Protocol):
    """An option of conf/backbone/sampler."""

    folds: ClassVar[bool]  # one Gaussian map instead of a loop, for affine denoisers (nn/diffusion.fold)

    def chain(self, beta: Tensor) -> Chain:
        """The reverse steps for variances (T,)."""
        ...


@dataclass(frozen=True)
class DDPM:
    """All T ancestral steps, one after the other (Ho et al., NeurIPS 2020)."""

    folds: ClassVar[bool] = False

    def chain(self, beta: Tensor) -> Chain:
        """T steps."""
        return ddpm(beta)


@dataclass(frozen=True)
class Exact(DDPM):
    """The same law without the loop."""

    folds: ClassVar[bool] = True


@dataclass(frozen=True)
class DDIM:
    """Every `stride`-th step, without noise (Song et al., ICLR 2021)."""

    stride: int = 100

    folds: ClassVar[bool] = False

    def chain(self, beta: Tensor) -> Chain:
        """T / stride steps, rounded up."""
        return ddim(beta, self.stride)
