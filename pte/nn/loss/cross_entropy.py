"""Softmax over the whole catalogue, the loss that later work found to matter most (Klenitskiy & Vasilev, 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pte.nn.kernel.cross_entropy import KERNELS, catalogue_cross_entropy
from pte.nn.loss.base import InnerProduct
from pte.nn.loss.negative import Exclusion
from pte.nn.noise import Generator
from pte.schema import one_of


@dataclass(frozen=True)
class CrossEntropy(InnerProduct):
    """kernel: chunked or liger, see nn/kernel/cross_entropy. Inputs of its products are rounded as torch's
    `float32_matmul_precision` says: to bf16 where that is "medium" (trainer.products=bfloat16), else not.
    """

    kernel: str = "chunked"

    samples: ClassVar[bool] = False
    exclude_history: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of("backbone.loss.kernel", self.kernel, KERNELS)

    def __call__(
        self, hidden: Tensor, table: Tensor, target: Tensor, *, total: float, exclusion: Exclusion | None = None,
        sparse: bool = False, generator: Generator = None,
    ) -> Tensor:  # fmt: skip
        dtype = torch.bfloat16 if torch.get_float32_matmul_precision() == "medium" else torch.float32
        return catalogue_cross_entropy(hidden, table, target, total=total, product_dtype=dtype, kernel=self.kernel)
