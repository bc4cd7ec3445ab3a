"""Alignment losses against plain numpy, one item at a time."""

import math

import numpy as np
import pytest
import torch

from pte.nn.loss.alignment import cosine_alignment, info_nce


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(7, 5, generator=draw), torch.randn(7, 5, generator=draw)


def test_cosine_alignment_is_one_minus_the_mean_cosine(pair):
    a, b = (x.double().numpy() for x in pair)
    expected = 1 - sum(cosine(a[i], b[i]) for i in range(7)) / 7
    assert cosine_alignment(*pair).item() == pytest.approx(expected, abs=1e-6)


def test_cosine_alignment_ends_at_zero_one_two():
    a = torch.tensor([[3.0, 0.0]])
    found = [cosine_alignment(a, torch.tensor([b])).item() for b in ([5.0, 0.0], [0.0, 1.0], [-2.0, 0.0])]
    assert found == pytest.approx([0, 1, 2], abs=1e-6)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_info_nce_is_the_plain_sum(pair, temperature):
    a, b = (x.double().numpy() for x in pair)
    expected = 0.0
    for i in range(7):
        over = sum(math.exp(cosine(a[i], b[j]) / temperature) for j in range(7))
        expected -= math.log(math.exp(cosine(a[i], b[i]) / temperature) / over) / 7
    assert info_nce(*pair, temperature).item() == pytest.approx(expected, abs=1e-5)


def test_info_nce_by_hand():
    """Two orthogonal unit vectors, each with itself as positive: -log(e / (e + 1))."""
    eye = torch.eye(2)
    assert info_nce(eye, eye, 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)


def test_a_twin_is_no_negative(pair):
    """Rows 0, 1 stand for one thing and row 2 for another: each of the first two has one negative, not two."""
    a, b = pair[0][:3], pair[1][[0, 0, 1]]
    x, y = a.double().numpy(), b.double().numpy()
    e = [[math.exp(cosine(x[i], y[j])) for j in range(3)] for i in range(3)]
    expected = -sum(
        [
            math.log(e[0][0] / (e[0][0] + e[0][2])),
            math.log(e[1][1] / (e[1][1] + e[1][2])),
            math.log(e[2][2] / sum(e[2])),
        ]
    )
    assert info_nce(a, b, 1.0, row=torch.tensor([4, 4, 9])).item() == pytest.approx(expected / 3, abs=1e-6)


def test_length_does_not_matter_and_zero_rows_stay_finite(pair):
    a, b = pair
    assert info_nce(3 * a, b / 9, 0.2).item() == pytest.approx(info_nce(a, b, 0.2).item(), abs=1e-6)
    a = a.clone().requires_grad_()
    loss = info_nce(a * 0, b, 0.2) + cosine_alignment(a * 0, b)
    loss.backward()
    assert loss.isfinite()
    assert a.grad.isfinite().all()
