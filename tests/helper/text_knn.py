"""Shared by tests: Frozen."""

import torch
from torch import nn


class Frozen(nn.Module):
    uses_text = True

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.vectors = vectors

    def table(self) -> torch.Tensor:
        return self.vectors
