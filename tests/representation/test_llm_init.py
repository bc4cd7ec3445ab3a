"""LLMInit starts on the text's principal axes, at the size asked for, and is free."""

import numpy as np
import pytest
import torch
from helper.representation import made, vectors

from pte.schema import InputError


@pytest.mark.parametrize("standardise", [True, False])
def test_start_is_the_projection_at_its_size(standardise):
    language = vectors()[1:].double().numpy()
    centred = language - language.mean(axis=0)
    u, s, _ = np.linalg.svd(np.cov(language, rowvar=False, bias=True))
    expected = centred @ u[:, :8]
    if standardise:
        expected = expected / np.sqrt(s + 1e-5 * s.mean())[:8]
    expected *= 0.3 / np.sqrt((expected**2).mean())
    found = made("llm_init", standardise=standardise, std=0.3).table()[1:].detach().numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)
    assert np.sqrt((found**2).mean()) == pytest.approx(0.3, rel=1e-5)


def test_standardised_axes_weigh_the_same():
    spread = made("llm_init", standardise=True).table()[1:].std(dim=0)
    assert spread.max() / spread.min() < 1.001
    plain = made("llm_init", standardise=False).table()[1:].std(dim=0)
    assert plain.max() / plain.min() > 1.5


def test_the_whole_table_learns():
    model = made("llm_init")
    gain = torch.randn(13, 8)
    (model.table() * gain).sum().backward()
    assert torch.equal(model.weight.grad, gain[1:])


def test_more_axes_than_the_text_has_are_refused():
    with pytest.raises(InputError, match="width to at most 10"):
        made("llm_init", width=11)
