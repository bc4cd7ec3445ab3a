"""Both ways over the logits give the plain sum and its gradients, in blocks and tiles of any size; what may overflow is
refused the quick one."""

import pytest
import torch
from torch.nn import functional as F

from pte.nn.kernel import catalogue_pass as sweep
from pte.nn.kernel.cross_entropy import catalogue_cross_entropy

WAYS = {"rows": sweep.by_rows, "tiles": sweep.by_tiles}
BOTH = (True, True)


def problem(targets=37, width=8, num_items=301, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    hidden = scale * torch.randn(targets, width, generator=generator)
    table = torch.randn(num_items + 1, width, generator=generator)
    table[0] = 0
    return hidden, table, torch.randint(1, num_items + 1, (targets,), generator=generator)


def plain(hidden, table, target):
    """Six lines of torch: the sum and both gradients."""
    h, e = hidden.clone().requires_grad_(), table.clone().requires_grad_()
    loss = F.cross_entropy(h @ e[1:].T, target - 1, reduction="sum")
    return loss.detach(), *torch.autograd.grad(loss, (h, e))


@pytest.fixture(params=sorted(WAYS))
def way(request):
    return WAYS[request.param]


@pytest.mark.parametrize("rows", [1, 5, 36, 37, 1000])
@pytest.mark.parametrize("tile_bytes", [1, 2**21])  # 64 items a tile, the last of 301 holds 45; and all at once
def test_equals_the_plain_sum(way, rows, tile_bytes, monkeypatch):
    monkeypatch.setattr(sweep, "_TILE_BYTES", tile_bytes)
    arguments = problem()
    made = way(*arguments, dtype=torch.float32, rows=rows, wants=BOTH)
    for mine, theirs in zip(made, plain(*arguments), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)  # sums of 301 and 37 fp32 terms of size 1


def test_tiles_find_their_own_rows(monkeypatch):
    monkeypatch.setattr(sweep, "_SCRATCH_BYTES", 4 * 301 * 16)  # 16 rows: 37 go in three blocks
    arguments = problem()
    made = sweep.by_tiles(*arguments, dtype=torch.float32, rows=None, wants=BOTH)
    torch.testing.assert_close(made[2], plain(*arguments)[2], rtol=1e-5, atol=1e-5)


def test_the_padding_row_gets_no_gradient(way):
    hidden, table, target = problem()
    table[0] = 1e4
    assert way(hidden, table, target, dtype=torch.float32, rows=8, wants=BOTH)[2][0].abs().max() == 0


def test_only_what_is_wanted_is_made(way):
    for wants in ((False, True), (True, False), (False, False)):
        made = way(*problem(), dtype=torch.float32, rows=8, wants=wants)
        assert tuple(gradient is not None for gradient in made[1:]) == wants
        torch.testing.assert_close(made[0], plain(*problem())[0])


def test_rounded_products_stay_close(way):
    """bf16 keeps 8 bits: 2^-9 in a factor, per cent in an entry, less in a norm."""
    arguments = problem(targets=400, width=64, num_items=500, scale=0.3)
    reference = plain(*arguments)
    made = way(*arguments, dtype=torch.bfloat16, rows=64, wants=BOTH)
    assert made[0].item() == pytest.approx(reference[0].item(), rel=2e-3)
    for mine, theirs in zip(made[1:], reference[1:], strict=True):
        assert mine.dtype == torch.float32
        assert ((mine - theirs).norm() / theirs.norm()).item() < 0.01


def test_bounded_by_the_longest_state_and_item():
    """|h| = 5, |e| = 12: 60 is within, a little more is not; padding is no item."""
    hidden, table = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[1e9, 0.0], [0.0, 12.0], [1.0, 0.0]])
    assert sweep.bounded(hidden, table)
    assert not sweep.bounded(hidden * 1.001, table)


@pytest.mark.parametrize("length", [59.0, 61.0, 400.0])
def test_long_states_change_no_digit_that_counts(length):
    """Logits from -length to length: below the bound by tiles, above it by rows; overflow would give inf or NaN."""
    hidden = torch.tensor([[length, 0.0], [-length, 0.0], [0.0, 1.0]], requires_grad=True)
    table = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.999, 0.01], [0.5, 0.5]], requires_grad=True)
    target = torch.tensor([1, 3, 2])  # each the likeliest but the last
    loss = catalogue_cross_entropy(hidden, table, target, total=1)
    reference = plain(hidden.detach(), table.detach(), target)
    assert loss.item() == pytest.approx(reference[0].item(), rel=1e-5)
    for mine, theirs in zip(torch.autograd.grad(loss, (hidden, table)), reference[1:], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
