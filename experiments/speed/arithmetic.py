"""How many floating-point operations a training step of SASRec needs at least: the products of real places, no padding.

For width D, inner width I, N items, a history of n places and C layers, forward, a multiply and an add counting as two:

    a place, a layer    8 D^2          Q, K, V and the output projection, (1, D) x (D, D) each
                        4 D I          W1 and W2
    a history, a layer  4 D (1 + 2 + ... + n)    q . k and weight x v of place l with the l places it may see
    a target            2 D N          scores against all items

Backward needs two products for each of these, one for either factor, so that a step needs three times the sum. Not
counted: softmax, normalisation, GELU, dropout, look-ups, the optimizer, and whatever padding or masking computes.
"""

from __future__ import annotations

from torch import Tensor


def training(
    segment: Tensor, position: Tensor, targets: int, *, width: int, inner: int, layers: int, num_items: int
) -> int:
    """Operations of a packed step: segment, position (R, L), 0 segments being padding; position is 0-based."""
    real = segment > 0
    places, pairs = int(real.sum()), int((position[real] + 1).sum())
    layer = places * (8 * width**2 + 4 * width * inner) + 4 * width * pairs
    return 3 * (layers * layer + targets * 2 * width * num_items)
