"""How popular a candidate is, under two fitted numbers: score_j = c_1 x_j + c_2 x_j^2.

x_j is log(1 + training rows of item j) less its mean over the catalogue, in standard deviations. It corrects how far
the experts together favour the popular; the square lets the correction differ between the catalogue's two ends.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pte.nn.item_matrix import train_counts

TINY = 1e-6


def powers(item: np.ndarray, num_items: int) -> Tensor:
    """(2, N) float32: x and its square, of training rows `item` in 1..N; zeros where all items are equally popular."""
    log_count = torch.from_numpy(np.log1p(train_counts(item, num_items)))
    x = (log_count - log_count.mean()) / log_count.std(correction=0).clamp_min(TINY)
    return torch.stack([x, x.square()]).float()
