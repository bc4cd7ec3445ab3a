"""A free vector per item, learned from interactions alone: the classic ID embedding, and the baseline to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Id(nn.Module):
    """N trainable vectors, e_i ~ N(0, std^2) at the start."""

    uses_text = False

    def __init__(self, *, num_items: int, vectors: Tensor | None = None, width: int, std: float) -> None:
        super().__init__()
        self.width = width
        weight = torch.randn(num_items + 1, width) * std
        weight[0] = 0
        self.weight = nn.Parameter(weight)

    def table(self) -> Tensor:
        """(N+1, D). Row 0 starts at zero and no loss sends it a gradient."""
        return self.weight

    def auxiliary(self) -> Tensor:
        return self.weight.new_zeros(())
