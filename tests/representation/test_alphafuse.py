"""AlphaFuse against its own steps in numpy: mean, covariance, SVD, projection, Lambda^{-1/2}, and where the ID goes."""

import numpy as np
import pytest
import torch
from helper.representation import NUM_ITEMS, made, vectors

from pte.representation.alphafuse import NullSpace
from pte.schema import InputError


def reference(scale: float, width: int, standardise: bool, eps: float) -> np.ndarray:
    """L' as in the paper, with the ridge and the sign that the module states."""
    language = vectors()[1:].double().numpy() * scale
    mean = language.mean(axis=0)
    u, s, _ = np.linalg.svd(np.cov(language - mean, rowvar=False, bias=True))
    u = u * np.sign(u[np.abs(u).argmax(axis=0), np.arange(len(u))])
    projection = u[:, :width] @ np.diag((s + eps * s.mean())[:width] ** -0.5) if standardise else u[:, :width]
    return (language - mean) @ projection


@pytest.mark.parametrize("standardise", [True, False])
def test_semantic_part_is_numpys(standardise):
    model = made("alphafuse", standardise=standardise, init="zeros", std=1.0, scale=40)
    np.testing.assert_allclose(
        model.table()[1:].detach(), reference(40, 8, standardise, 1e-5), rtol=1e-4, atol=1e-4
    )  # float32 of values up to 10


def test_standardised_axes_have_unit_variance_without_ridge():
    table = made("alphafuse", init="zeros", std=1.0, eps=0.0).table()[1:].detach().double()
    assert torch.allclose(table.T @ table / NUM_ITEMS, torch.eye(8, dtype=torch.float64), atol=1e-5)


@pytest.mark.parametrize(
    ("placement", "columns"), [("lowest", [5, 6, 7]), ("highest", [0, 1, 2]), ("spread", [0, 2, 5])]
)
@pytest.mark.parametrize("replace", [False, True])
def test_the_id_stands_in_its_axes_and_nowhere_else(placement, columns, replace):
    model = made(
        "alphafuse", null_space=NullSpace(None, dim=3, placement=placement), replace=replace, init="normal", std=1.0
    )
    semantic = torch.from_numpy(reference(40, 8, True, 1e-5)).float()
    fused = model.table()[1:].detach()
    rest = [c for c in range(8) if c not in columns]
    assert torch.allclose(fused[:, rest], semantic[:, rest], atol=1e-4)
    expected = model.own.detach() + (0 if replace else semantic[:, columns])
    assert torch.allclose(fused[:, columns], expected, atol=1e-4)


def test_only_the_id_learns():
    model = made("alphafuse")
    gain = torch.randn(NUM_ITEMS + 1, 8)
    (model.table() * gain).sum().backward()
    assert [name for name, _ in model.named_parameters()] == ["own"]
    assert torch.equal(model.own.grad, gain[1:, 5:])


@pytest.mark.parametrize(
    ("given", "count"), [({"share": None, "dim": 8}, 8), ({"share": 0.5}, 4), ({"share": None}, 0)]
)
def test_nullity_by_number_and_by_share(given, count):
    if count:
        assert made("alphafuse", null_space=NullSpace(**given)).free_per_item == count
    else:
        with pytest.raises(InputError, match="give dim, a whole number"):
            made("alphafuse", null_space=NullSpace(**given))


def test_nullity_by_threshold_counts_eigenvalues_of_the_scaled_vectors():
    language = vectors()[1:].double().numpy() * 40
    s = np.linalg.eigvalsh(np.cov(language, rowvar=False, bias=True))[::-1]
    middle = float((s[6] + s[7]) / 2)  # the three smallest of ten lie below
    model = made("alphafuse", null_space=NullSpace(None, threshold=middle))
    assert model.free_per_item == 3


def test_starts():
    assert not made("alphafuse", init="zeros").own.any()
    wide = torch.cat([made("alphafuse", seed=s, init="normal", std=0.5).own.flatten() for s in range(100)])
    assert wide.std().item() == pytest.approx(0.5, rel=0.05)  # 3,600 draws: a standard error of 1.2 %


@pytest.mark.parametrize(
    "wrong",
    [{"null_space": NullSpace(0.5, dim=0)}, {"null_space": NullSpace(0.5, dim=9)}, {"width": 11}, {"init": "ones"}],
)
def test_wrong_knobs_are_refused(wrong):
    with pytest.raises(InputError):
        made("alphafuse", **wrong)


def test_an_unknown_placement_is_refused():
    with pytest.raises(InputError, match="placement=middle: take one of lowest, highest, spread"):
        NullSpace(0.5, placement="middle")


@pytest.mark.parametrize(("std", "least", "became"), [(0.02, 0.1, 0.1), (0.5, 0.1, 0.5)])
def test_frozen_text_is_never_fainter_than_the_least(std, least, became):
    model, unit = made("alphafuse", std=std, least_std=least), made("alphafuse", std=1.0)
    torch.testing.assert_close(model.semantic, unit.semantic * became)
    torch.testing.assert_close(model.own, unit.own * became)
