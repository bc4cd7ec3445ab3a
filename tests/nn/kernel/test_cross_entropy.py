"""The chunked cross-entropy equals the plain one in its value and in both gradients."""

import pytest
import torch
from helper.cross_entropy import gradients, plain, problem
from torch.nn import functional as F

from pte.nn.kernel import cross_entropy
from pte.nn.kernel.cross_entropy import catalogue_cross_entropy


@pytest.mark.parametrize("chunk", [1, 5, 37, 1000, None])
@pytest.mark.parametrize("scale", [1.0, 20.0])  # flat and very peaked distributions
def test_equals_plain_cross_entropy(chunk, scale):
    hidden, table, target = problem(scale=scale)
    ours = catalogue_cross_entropy(hidden, table, target, total=50, chunk=chunk)
    reference = plain(hidden, table, target, 50)
    if scale == 1.0:
        assert ours.item() == pytest.approx(reference.item(), rel=1e-6)
    for mine, theirs in zip(gradients(ours, hidden, table), gradients(reference, hidden, table), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)  # sums of 101 and 37 fp32 terms


def test_by_hand():
    # one target, two items with scores 0 and log 3: p = 1/4 and 3/4
    hidden = torch.tensor([[1.0]], requires_grad=True)
    table = torch.tensor([[9.0], [0.0], [torch.tensor(3.0).log()]], requires_grad=True)
    loss = catalogue_cross_entropy(hidden, table, torch.tensor([1]), total=1)
    assert loss.item() == pytest.approx(torch.tensor(4.0).log().item())
    grad_hidden, grad_table = gradients(loss, hidden, table)
    assert grad_hidden.item() == pytest.approx(0.75 * torch.tensor(3.0).log().item())
    assert grad_table.flatten().tolist() == pytest.approx([0, -0.75, 0.75])


def test_padding_is_no_candidate_and_gets_no_gradient():
    hidden, table, target = problem()
    huge = table.detach().clone()
    huge[0] = 1e4
    huge.requires_grad_()
    loss = catalogue_cross_entropy(hidden, huge, target, total=37)
    assert loss.item() == catalogue_cross_entropy(hidden, table, target, total=37).item()
    assert gradients(loss, hidden, huge)[1][0].abs().max() == 0


def test_gradients_scale_with_what_follows():
    hidden, table, target = problem()
    once = gradients(catalogue_cross_entropy(hidden, table, target, total=37), hidden, table)
    thrice = gradients(3 * catalogue_cross_entropy(hidden, table, target, total=37), hidden, table)
    for a, b in zip(once, thrice, strict=True):
        torch.testing.assert_close(3 * a, b)


def test_gradients_are_differences():
    """Directional derivatives of the loss agree with the gradients, with no reference implementation involved."""
    hidden, table, target = problem(targets=5, num_items=7)
    grads = gradients(catalogue_cross_entropy(hidden, table, target, total=5), hidden, table)
    for which, grad in enumerate(grads):
        direction = torch.randn_like(grad)
        direction[0] = 0 if which == 1 else direction[0]
        values = []
        for step in (1e-2, -1e-2):
            moved = [hidden.detach(), table.detach()]
            moved[which] = moved[which] + step * direction
            values.append(catalogue_cross_entropy(*moved, target, total=5).item())
        # fp32 rounding of the two values gives about 1e-6 / 2e-2
        assert (values[0] - values[1]) / 2e-2 == pytest.approx((grad * direction).sum().item(), abs=2e-3)


def test_no_targets_is_zero_with_zero_gradients():
    hidden, table, _ = problem()
    empty = hidden[:0]
    loss = catalogue_cross_entropy(empty, table, torch.zeros(0, dtype=torch.int64), total=9)
    assert loss.item() == 0
    assert gradients(loss, hidden, table)[1].abs().max() == 0


def test_only_the_gradients_requested_are_made():
    hidden, table, target = problem()
    loss = catalogue_cross_entropy(hidden, table.detach(), target, total=37)
    loss.backward()
    assert table.grad is None
    with torch.no_grad():
        assert not catalogue_cross_entropy(hidden, table, target, total=37).requires_grad


def test_an_underflowing_target_is_clipped_in_value_and_exact_in_gradient():
    hidden = torch.tensor([[100.0]], requires_grad=True)
    table = torch.tensor([[0.0], [-1.0], [1.0]], requires_grad=True)
    loss = catalogue_cross_entropy(hidden, table, torch.tensor([1]), total=1)
    assert loss.item() == pytest.approx(85.2, abs=0.1)
    assert gradients(loss, hidden, table)[0].item() == pytest.approx(2.0)


@pytest.fixture
def native_bfloat16(monkeypatch):
    """A device that multiplies bf16, which any processor can emulate."""
    monkeypatch.setattr(cross_entropy, "fast_dtype", lambda device: torch.bfloat16)


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_products_only_where_the_processor_has_them(monkeypatch, native, dtype):
    """AVX-512 without its bf16 instructions emulates them, at a third of the speed of fp32."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    hidden, table, target = problem()
    rounded = catalogue_cross_entropy(hidden, table, target, total=37, product_dtype=torch.bfloat16)
    with monkeypatch.context() as forced:
        forced.setattr(cross_entropy, "fast_dtype", lambda device: dtype)
        expected = catalogue_cross_entropy(hidden, table, target, total=37, product_dtype=torch.bfloat16)
    whole = catalogue_cross_entropy(hidden, table, target, total=37)
    assert rounded.item() == expected.item()
    assert (rounded.item() == whole.item()) == (not native)


@pytest.mark.usefixtures("native_bfloat16")
def test_bfloat16_products_are_close_and_unbiased():
    """Inputs and logits are rounded to 8 bits: 2^-9 relative each, so per cent in an entry, less in a norm."""
    hidden, table, target = problem(targets=400, width=64, num_items=500, scale=0.3)
    reference = plain(hidden, table, target, 400)
    ours = catalogue_cross_entropy(hidden, table, target, total=400, chunk=64, product_dtype=torch.bfloat16)
    assert ours.item() == pytest.approx(reference.item(), rel=2e-3)
    for mine, theirs in zip(gradients(ours, hidden, table), gradients(reference, hidden, table), strict=True):
        assert mine.dtype == torch.float32
        assert ((mine - theirs).norm() / theirs.norm()).item() < 0.01
        assert F.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0).item() > 0.9999


def test_autocast_changes_nothing():
    hidden, table, target = problem()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = catalogue_cross_entropy(hidden, table, target, total=37)
    assert inside.item() == catalogue_cross_entropy(hidden, table, target, total=37).item()


@pytest.mark.usefixtures("native_bfloat16")
def test_half_precision_states_get_gradients_of_their_own_dtype():
    hidden, table, target = problem()
    low = hidden.detach().bfloat16().requires_grad_()
    loss = catalogue_cross_entropy(low, table, target, total=37, product_dtype=torch.bfloat16)
    grad_hidden, grad_table = gradients(loss, low, table)
    assert (grad_hidden.dtype, grad_table.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_on_a_gpu(dtype):
    hidden, table, target = problem(targets=300, width=64, num_items=2000, scale=0.3)
    reference = plain(hidden, table, target, 300)
    far = [t.detach().cuda().requires_grad_(t.is_floating_point()) for t in (hidden, table, target)]
    ours = catalogue_cross_entropy(*far, total=300, product_dtype=dtype)
    bound = 1e-3 if dtype == torch.float32 else 1e-2
    assert ours.item() == pytest.approx(reference.item(), rel=bound)
    mine, theirs = gradients(ours, far[0], far[1]), gradients(reference, hidden, table)
    for a, b in zip(mine, theirs, strict=True):
        assert ((a.cpu() - b).norm() / b.norm()).item() < bound


def test_a_second_backward_is_refused():
    """The gradients are scaled where they lie, so they serve once."""
    hidden, table, target = problem()
    loss = catalogue_cross_entropy(hidden, table, target, total=37)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="makes its gradients once"):
        loss.backward()
