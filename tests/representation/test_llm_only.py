"""Text alone: whitened, frozen, shared by all items, with clear words about vectors that do not fit."""

import pytest
import torch

from pte.representation.llm_only import LlmOnly, standardised
from pte.schema import InputError

ITEMS, ENCODED = 400, 12


def vectors(seed=0):
    """Correlated unit vectors around a common direction, as sentence encoders give them."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(ENCODED, ENCODED, generator=generator) * torch.linspace(1, 0.05, ENCODED)
    v = torch.randn(ITEMS + 1, ENCODED, generator=generator) @ mixing.T + 3
    v = v / v.norm(dim=1, keepdim=True)
    v[0] = 0
    return v


def make(head="mlp", components=ENCODED, whiten=True, v=None, width=6, num_items=ITEMS):
    torch.manual_seed(1)
    return LlmOnly(
        num_items=num_items, vectors=vectors() if v is None else v, width=width, components=components, whiten=whiten,
        eps=1e-6, head=head, hidden=16, dropout=0.0,
    )  # fmt: skip


@pytest.mark.parametrize("components", [ENCODED, 5])
def test_the_bare_space_is_white(components):
    representation = make("none", components)
    table = representation.table()
    assert representation.width == components
    assert table.shape == (ITEMS + 1, components)
    assert table[0].abs().max() == 0
    covariance = table[1:].T @ table[1:] / ITEMS
    torch.testing.assert_close(covariance, torch.eye(components), rtol=1e-3, atol=1e-3)  # eps / smallest variance
    torch.testing.assert_close(table[1:].mean(dim=0), torch.zeros(components), rtol=0, atol=1e-5)
    assert list(representation.parameters()) == []


def test_standardised_keeps_correlations():
    z = standardised(vectors()[1:])
    torch.testing.assert_close(z.var(dim=0, correction=0), torch.ones(ENCODED))
    torch.testing.assert_close(torch.corrcoef(z.T), torch.corrcoef(vectors()[1:].T), rtol=1e-3, atol=1e-4)
    table = make("none", whiten=False).table()
    torch.testing.assert_close(table[1:], z)


def test_a_constant_coordinate_gives_no_nan():
    v = vectors()
    v[:, 3] = 0.5
    v[:, 4] = v[:, 5]
    for whiten in (True, False):
        assert make("none", whiten=whiten, v=v).table().isfinite().all()


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_there_is_no_free_parameter_per_item(head):
    small, large = make(head), make(head, v=torch.cat([vectors(), vectors(1)[1:]]), num_items=2 * ITEMS)
    assert sum(p.numel() for p in small.parameters()) == sum(p.numel() for p in large.parameters())
    table = small.table()
    assert table.shape == (ITEMS + 1, 6)
    assert table[0].abs().max() == 0
    assert table[1:].abs().min() > 0


@pytest.mark.parametrize("head", ["none", "linear", "mlp"])
def test_equal_texts_are_equal_items(head):
    v = vectors()
    v[7] = v[3]
    table = make(head, v=v).table()
    assert torch.equal(table[7], table[3])
    assert not torch.equal(table[8], table[3])


def test_the_head_learns_and_the_space_does_not():
    representation = make("linear")
    representation.table().square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in representation.parameters())
    assert not representation.space.requires_grad
    assert representation.auxiliary().item() == 0


@pytest.mark.parametrize("whiten", [True, False])
def test_all_axes_are_kept_where_no_number_is_given(whiten):
    given, usual = make("none", ENCODED, whiten), make("none", None, whiten)
    assert usual.width == ENCODED
    assert torch.equal(usual.table(), given.table())


def test_of_few_items_all_axes_that_vary_are_kept():
    few = vectors()[:6]
    assert make("none", None, v=few, num_items=5).width == 4


def test_the_space_travels_with_the_weights():
    """A rebuilt model takes its axes from the file: eigenvectors may come out differently elsewhere."""
    representation, other = make(), make(v=-vectors(3))
    other.load_state_dict(representation.state_dict())
    assert torch.equal(other.table(), representation.table())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"components": ENCODED + 1}, "representation.components=13: type a number from 1 to 12, or null"),
        ({"components": 5, "whiten": False}, "representation.components=null"),
        ({"num_items": ITEMS - 1}, r"expected \(400, d\)"),
        ({"head": "deep"}, "none, linear, mlp"),
    ],
)
def test_what_does_not_fit_is_reported(change, words):
    with pytest.raises(InputError, match=words):
        make(**change)


def test_missing_vectors_are_named():
    with pytest.raises(InputError, match="selection"):
        LlmOnly(
            num_items=3, vectors=None, width=2, components=2, whiten=True, eps=0.1, head="none", hidden=2, dropout=0.0
        )
