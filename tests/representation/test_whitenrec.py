"""WhitenRec: one head over one or two whitened copies."""

import pytest
import torch
from helper.representation import made, vectors

from pte.nn.statistic.whitening import zca_whitened
from pte.schema import InputError


def test_plus_is_the_sum_of_one_head_over_both_copies():
    model = made("whitenrec", groups=2).eval()
    full, relaxed = (zca_whitened(vectors()[1:], 1e-5, groups=g) for g in (1, 2))
    head = model.head
    assert torch.allclose(model.table()[1:], head(full) + head(relaxed), atol=1e-6)
    assert (full - relaxed).abs().max() > 0.1


def test_without_groups_it_is_whitenrec():
    model = made("whitenrec", groups=1).eval()
    assert torch.allclose(model.table()[1:], model.head(zca_whitened(vectors()[1:], 1e-5)), atol=1e-6)


def test_alphafuses_version_is_linear_and_gelu():
    model = made("whitenrec", groups=1, layers=1, activation="gelu", dropout=0.0)
    linear = next(m for m in model.head if isinstance(m, torch.nn.Linear))
    expected = torch.nn.functional.gelu(linear(zca_whitened(vectors()[1:], 1e-5)))
    assert torch.allclose(model.table()[1:], expected, atol=1e-6)


def test_a_deep_head_ends_linearly():
    """Its outputs fall on both sides of zero, which a final ReLU would not let them."""
    assert (made("whitenrec", layers=2, activation="relu").eval().table()[1:] < 0).any()


@pytest.mark.parametrize("wrong", [{"groups": 3}, {"groups": 0}, {"layers": 0}, {"activation": "sin"}])
def test_wrong_knobs_are_refused(wrong):
    with pytest.raises(InputError):
        made("whitenrec", **wrong)
