"""AlphaFuse: frozen text vectors on their principal axes, a trainable ID in the axes where text says least.

Guo et al., SIGIR 2025 (arXiv 2504.19218). With mu, Sigma mean and covariance of the text vectors L over the items and
U Lambda U^T = Sigma, eigenvalues falling:

    L'     = (L - mu) U_{:, :d} Lambda_{:d}^{-1/2}                       standardise=false leaves Lambda out
    e_i    = L'_i + [0_{d - n}, id_i]        id_i in R^n trainable, L' frozen; replace=true: L' is 0 where the ID is
    n      = `dim`, or `share` of d, or the number of eigenvalues <= `threshold` of the vectors times `scale`

With d = 128 of 1536 axes, "null space" is a name: axes 65..128 are ordinary axes of medium variance, brought to unit
variance. So `placement` says which n of the d axes the ID takes: the lowest (the paper), the highest, or spread evenly,
an ablation the paper does not have. Departures: Lambda + eps mean(Lambda) in place of Lambda, which may be singular;
padding is zero, not random; items count equally (their code can weight them by popularity).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pte.nn.item_table import ItemTable, fitting, item_rows, padded
from pte.nn.statistic.whitening import axes
from pte.schema import InputError, one_of, require

KNOBS = ("dim", "share", "threshold")  # of a null space, for its size
PLACEMENTS = ("lowest", "highest", "spread")


@dataclass(frozen=True)
class NullSpace:
    """Which of the d axes take an ID. dim, a number of axes, or threshold, an eigenvalue, where given, takes the place
    of share.
    """

    share: float | None
    dim: int | None = None
    threshold: float | None = None
    placement: str = "lowest"

    def __post_init__(self) -> None:
        one_of("representation.null_space.placement", self.placement, PLACEMENTS)
        least = self.threshold is None or self.threshold >= 0
        require(
            least, "representation.null_space.threshold", self.threshold, "no eigenvalue is below 0: give 0 or more"
        )

    def size(self, variance: Tensor, width: int) -> int:
        """n, how many of the d axes take an ID."""
        given = " ".join(f"representation.null_space.{knob}={getattr(self, knob)}" for knob in KNOBS)
        match self.dim, self.share, self.threshold:
            case int(), _, None:
                count = self.dim
            case None, float() | int(), None:
                count = round(self.share * width)
            case None, _, float() | int():
                count = 1 if variance.is_meta else int((variance <= self.threshold).sum())  # meta: not known yet
            case _:
                raise InputError(f"{given}: give dim, a whole number, or threshold, or, with null for these two, share")
        if not 1 <= count <= width:
            raise InputError(f"{given}: gives IDs {count} of {width} axes; it must be between 1 and {width}")
        return count

    def columns(self, width: int, count: int) -> Tensor:
        """(n,) int64: the axes that take an ID; axis 0 has the largest variance."""
        if self.placement == "spread":
            return (torch.arange(count) * width) // count
        return torch.arange(count) if self.placement == "highest" else torch.arange(width - count, width)


class AlphaFuse(ItemTable):
    """Frozen L' plus trainable IDs on n of its d axes.

    null_space: which axes take an ID. init: zeros, or normal. std: what a standard
    deviation of 1 becomes, in L' and in the IDs' start alike; the paper has 1, and a loss of cosines. It says how loud
    the frozen text is beside IDs that grow at the pace of the learning rate, so it is `least_std` where a backbone
    starts IDs lower.
    """

    uses_text = True
    semantic: Tensor
    column: Tensor

    def __init__(
        self,
        *,
        num_items: int,
        vectors: Tensor | None,
        width: int,
        null_space: NullSpace,
        standardise: bool,
        replace: bool,
        init: str,
        scale: float,
        std: float,
        least_std: float,
        eps: float,
    ) -> None:
        super().__init__()
        for name, value in {"std": std, "least_std": least_std, "scale": scale}.items():
            require(value > 0, f"representation.{name}", value, "give a number above 0")
        std = max(std, least_std)
        rows = item_rows(vectors, num_items, "alphafuse") * scale
        self.width = fitting(width, rows, "alphafuse")
        own = axes(rows)
        count = null_space.size(own.variance, width)
        semantic = own.whiten(rows, width, eps) if standardise else own.project(rows, width)
        column = null_space.columns(width, count)
        if replace:
            semantic[:, column] = 0
        self.register_buffer("semantic", (semantic * std).to(rows))
        self.register_buffer("column", column)
        self.own = nn.Parameter(started(init, num_items, count) * std)

    @property
    def free_per_item(self) -> int:
        return self.own.shape[1]

    def table(self) -> Tensor:
        return padded(self.semantic.index_add(1, self.column, self.own))


def started(init: str, num_items: int, count: int) -> Tensor:
    """(N, n) IDs before training."""
    match init:
        case "zeros":
            return torch.zeros(num_items, count)
        case "normal":
            return torch.randn(num_items, count)
    raise InputError(f"representation.init={init}: take zeros or normal")
