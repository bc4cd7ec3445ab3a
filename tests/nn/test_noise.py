"""Noise by case: a function of seed and case, whatever stands beside it."""

import numpy as np
import pytest
import torch

from pte.nn.noise import CaseNoise, standard_normal

CPU = torch.device("cpu")


def test_a_row_is_a_function_of_seed_and_case():
    one = CaseNoise(3, [5, 0, 8]).normal((3, 4))
    other = CaseNoise(3, np.array([8, 5])).normal((2, 4))
    assert torch.equal(one[[2, 0]], other)
    assert not torch.equal(one, CaseNoise(4, [5, 0, 8]).normal((3, 4)))
    assert len(one.unique()) == 12


def test_draws_go_on_and_parts_draw_their_rows():
    noise = CaseNoise(3, range(6))
    first, second = noise.normal((6, 2)), noise.normal((6, 2))
    assert not torch.equal(first, second)
    part = noise.rows(slice(2, 4))
    assert torch.equal(part.normal((2, 2)), first[2:4])
    assert torch.equal(part.normal((2, 2)), second[2:4])


def test_many_cases_are_standard_normal_and_unlike():
    x = torch.cat([CaseNoise(seed, range(5000)).normal((5000, 4)) for seed in (0, 1)], dim=1).double()
    assert x.mean(dim=0).abs().max() < 4 / 5000**0.5
    assert (torch.corrcoef(x.T) - torch.eye(8)).abs().max() < 0.06  # within a case, and between seeds
    assert (torch.corrcoef(torch.stack([x[:-1, 0], x[1:, 0]]))[0, 1]).abs() < 0.06  # and between neighbours


def test_every_source_is_taken_and_wrong_sizes_are_not():
    generator = torch.Generator().manual_seed(1)
    expected = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(standard_normal((2, 3), generator, CPU), expected)
    assert standard_normal((2, 3), None, CPU).shape == (2, 3)
    assert torch.equal(standard_normal((2, 3), CaseNoise(0, [1, 2]), CPU), CaseNoise(0, [1, 2]).normal((2, 3)))
    with pytest.raises(ValueError, match="noise for 2 cases was asked for 3 rows"):
        standard_normal((3, 1), CaseNoise(0, [1, 2]), CPU)
