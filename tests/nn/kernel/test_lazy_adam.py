"""Row-wise Adam: torch's SparseAdam on a table, torch's Adam elsewhere, and nothing moves that was not read."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pte.nn.kernel.lazy_adam import LazyAdam

ROWS, WIDTH = 40, 4


def trained(optimizer, steps, *, sparse, reads=None):
    """A table and a linear layer after some steps that each read a few rows, some of them twice."""
    torch.manual_seed(0)
    table, layer = nn.Parameter(torch.randn(ROWS, WIDTH)), nn.Linear(WIDTH, 3)
    own = optimizer([table, *layer.parameters()])
    for step in range(steps):
        item = torch.randint(ROWS, (9,)) if reads is None else reads[step]
        own.zero_grad()
        layer(F.embedding(item, table, sparse=sparse)).square().sum().backward()
        own.step()
    return table, layer, own


def test_the_first_step_by_hand():
    """m = .1 g, v = .001 g^2, both corrected: a step of lr sign(g), whatever the size of g."""
    table = nn.Parameter(torch.zeros(3, 2))
    optimizer = LazyAdam([table], lr=0.1)
    F.embedding(torch.tensor([2]), table, sparse=True).backward(torch.tensor([[4.0, -0.01]]))
    optimizer.step()
    torch.testing.assert_close(table.detach(), torch.tensor([[0.0, 0.0], [0.0, 0.0], [-0.1, 0.1]]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("fused", [True, False])
def test_where_every_row_is_read_it_is_adam(fused):
    """Repeated rows in one step must be added up before their square is taken."""
    everything = [torch.cat([torch.randperm(ROWS), torch.randint(ROWS, (5,))]) for _ in range(6)]
    lazy = trained(lambda p: LazyAdam(p, lr=0.01, fused=fused), 6, sparse=True, reads=everything)
    adam = trained(lambda p: torch.optim.Adam(p, lr=0.01), 6, sparse=False, reads=everything)
    torch.testing.assert_close(lazy[0], adam[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(lazy[1].weight, adam[1].weight, rtol=1e-5, atol=1e-6)


def test_it_is_sparse_adam_on_the_table():
    """The two add eps in different places, which is 1e-8 beside gradients of about 1."""
    torch.manual_seed(0)
    start, reads = torch.randn(ROWS, WIDTH), [torch.randint(ROWS, (9,)) for _ in range(12)]
    tables = []
    for kind in (LazyAdam, torch.optim.SparseAdam):
        table = nn.Parameter(start.clone())
        optimizer = kind([table], lr=0.01)
        for item in reads:
            optimizer.zero_grad()
            (F.embedding(item, table, sparse=True) + 1).square().sum().backward()
            optimizer.step()
        tables.append(table)
    torch.testing.assert_close(*tables, rtol=1e-5, atol=1e-6)


def test_what_is_not_read_stays_moments_included():
    """Adam goes on along what it remembers; this does not."""
    reads = [torch.tensor([1, 2]), torch.tensor([3]), torch.tensor([3])]
    once, _, after = trained(lambda p: LazyAdam(p, lr=0.01), 1, sparse=True, reads=reads)
    thrice, _, later = trained(lambda p: LazyAdam(p, lr=0.01), 3, sparse=True, reads=reads)
    assert torch.equal(once[1:3], thrice[1:3])
    assert torch.equal(after.state[once]["exp_avg"][1:3], later.state[thrice]["exp_avg"][1:3])
    assert not torch.equal(once[3], thrice[3])
    dense, _, _ = trained(lambda p: torch.optim.Adam(p, lr=0.01), 3, sparse=False, reads=reads)
    assert not torch.equal(dense[1:3], thrice[1:3])


def test_its_state_can_be_stored_and_taken_up_again(tmp_path):
    reads = [torch.randint(ROWS, (9,)) for _ in range(6)]
    whole, _, _ = trained(lambda p: LazyAdam(p, lr=0.01, fused=True), 6, sparse=True, reads=reads)
    table, layer, optimizer = trained(lambda p: LazyAdam(p, lr=0.01, fused=True), 3, sparse=True, reads=reads)
    torch.save(optimizer.state_dict(), tmp_path / "state")
    again = LazyAdam([table, *layer.parameters()], lr=0.01, fused=True)
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for item in reads[3:]:
        again.zero_grad()
        layer(F.embedding(item, table, sparse=True)).square().sum().backward()
        again.step()
    assert torch.equal(table, whole)
