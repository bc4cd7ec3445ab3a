"""The two ways over a catalogue's logits that kernel/cross_entropy takes: blocks of rows, or tiles of rows and items.

Both give the sum over targets and its gradients, with h_t the states, e_i the items, y_t the targets:

    loss = sum_t ( log Z_t - h_t . e_{y_t} ),      Z_t = sum_i exp(h_t . e_i),      p_ti = exp(h_t . e_i) / Z_t
    towards h_t:  sum_i p_ti e_i - e_{y_t},        towards e_i:  sum_t ( p_ti - [i = y_t] ) h_t

`by_rows` takes some targets against all items, so that their softmax is complete, and works everywhere. `by_tiles`
takes many targets against some items, exponentiates where the products lie, in a cache, and divides by Z_t what is
small afterwards: the states in one gradient, the (T, D) product in the other. It adds to the items' gradient once a
block of rows, not once every few rows, and spares passes over the logits. Nothing may overflow in it: ask `bounded`.
Reference: logsumexp of all logits and autograd's gradients (tests/nn/kernel/test_catalogue_pass.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

# exp(60) of 10^6 items is 10^32, and exp(-60) over it 10^-58, which is lost beside any other item: fp32 ends at 10^38.
BOUND = 60.0
_SCRATCH_BYTES = 2**25  # of exp(logits) kept for the second gradient: ours, what a third-level cache holds
_TILE_BYTES = 2**21  # of them at a time; ours: 2**20 .. 2**22 are alike on Toys

LossAndGradients = tuple[Tensor, Tensor | None, Tensor | None]  # towards states and table; None: not needed


def bounded(hidden: Tensor, table: Tensor) -> bool:
    """Whether no logit is far from zero, by |h . e| <= |h| |e|. Reads a value back: a GPU would wait."""
    with torch.no_grad():
        return bool(hidden.norm(dim=1).max() * table[1:].norm(dim=1).max() <= BOUND)


def by_rows(
    hidden: Tensor, table: Tensor, target: Tensor, *, dtype: torch.dtype, rows: int, wants: tuple[bool, bool]
) -> LossAndGradients:
    """`rows` targets at a time. The sum is exact up to 85 nats per target and clipped there."""
    h, items, column = hidden.to(dtype), table[1:].to(dtype), target - 1
    loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
    grad_hidden = torch.empty(hidden.shape, dtype=torch.float32, device=hidden.device) if wants[0] else None
    grad_table = torch.zeros(table.shape, dtype=torch.float32, device=table.device) if wants[1] else None
    # Two scratch blocks serve every chunk: fresh ones would have to be mapped by the system each time.
    logits, softmax = (torch.empty(min(rows, len(h)), len(items), dtype=dtype, device=h.device) for _ in range(2))
    for begin in range(0, len(hidden), rows):
        part = slice(begin, min(begin + rows, len(hidden)))
        count = part.stop - begin
        s = torch.mm(h[part], items.T, out=logits[:count])
        p = torch.softmax(s, dim=1, out=softmax[:count])
        loss -= p.gather(1, column[part, None]).float().clamp_min(1e-37).log().sum()
        if grad_hidden is not None:
            grad_hidden[part] = p @ items
        if grad_table is not None:
            _add_product(grad_table[1:], p.T, h[part])
    return loss, *_less_the_target(hidden, table, target, grad_hidden, grad_table)


def by_tiles(
    hidden: Tensor, table: Tensor, target: Tensor, *, dtype: torch.dtype, rows: int | None, wants: tuple[bool, bool]
) -> LossAndGradients:
    """`rows` targets (None: what the scratch memory holds) against some items at a time. For `bounded` logits only."""
    h, items, num_items = hidden.to(dtype), table[1:].to(dtype), len(table) - 1
    rows = rows or max(16, _SCRATCH_BYTES // (num_items * dtype.itemsize))
    rows = -(-len(h) // -(-len(h) // rows))  # blocks of one size: a small last one costs nearly as much as a large one
    tiles = items.split(max(64, _TILE_BYTES // (rows * dtype.itemsize)))
    z = torch.zeros(len(h), 1, dtype=torch.float32, device=h.device)
    grad_hidden = torch.zeros(hidden.shape, dtype=torch.float32, device=h.device) if wants[0] else None
    grad_table = torch.empty(table.shape, dtype=torch.float32, device=h.device) if wants[1] else None
    scratch = torch.empty(rows * num_items, dtype=dtype, device=h.device)
    for begin in range(0, len(h), rows):
        part = slice(begin, min(begin + rows, len(h)))
        sizes = [(part.stop - begin) * len(tile) for tile in tiles]
        exps = [e.view(-1, len(tile)) for e, tile in zip(scratch[: sum(sizes)].split(sizes), tiles, strict=True)]
        for e, tile in zip(exps, tiles, strict=True):
            torch.mm(h[part], tile.T, out=e).exp_()
            z[part] += e.sum(dim=1, keepdim=True)  # adds up in fp32; a tile's sum is rounded like a product
            if grad_hidden is not None:
                grad_hidden[part] += e @ tile
        if grad_table is not None:
            share = (hidden[part] / z[part]).to(dtype)
            for into, e in zip(grad_table[1:].split(len(tiles[0])), exps, strict=True):
                _add_product(into, e.T, share, first=begin == 0)
    if grad_hidden is not None:
        grad_hidden /= z
    if grad_table is not None:
        grad_table[0] = 0
    loss = z.log().sum() - (hidden.float() * table[target]).sum()
    return loss, *_less_the_target(hidden, table, target, grad_hidden, grad_table)


def _less_the_target(
    hidden: Tensor, table: Tensor, target: Tensor, grad_hidden: Tensor | None, grad_table: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """The - [i = y_t] of both gradients, unrounded."""
    if grad_hidden is not None:
        grad_hidden -= table[target]
    if grad_table is not None:
        grad_table.index_add_(0, target, hidden.to(grad_table.dtype), alpha=-1)
    return grad_hidden, grad_table


def _add_product(into: Tensor, a: Tensor, b: Tensor, *, first: bool = False) -> None:
    """into += a @ b with fp32 sums, or into = a @ b at `first`; `into` is fp32, a and b share a dtype."""
    if a.dtype == into.dtype:
        into.addmm_(a, b, beta=0 if first else 1)
        return
    product = torch.mm(a, b, out_dtype=into.dtype) if a.device.type == "cuda" else a @ b
    if first:
        into.copy_(product)
    else:
        into += product
