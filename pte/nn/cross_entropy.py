"""Cross-entropy over the whole catalogue without keeping the logits: chunks of rows, gradients made on the way forward.

For targets t = 1..T with hidden states h_t and item vectors e_i:

    loss = 1/total sum_t ( log sum_{i=1..N} exp(h_t . e_i) - h_t . e_{y_t} )
    d loss / d h_t = 1/total ( sum_i p_ti e_i - e_{y_t} )
    d loss / d e_i = 1/total sum_t ( p_ti - [i = y_t] ) h_t,        p_t = softmax(h_t E^T)

A chunk of rows is multiplied out, normalised and used for both gradients while it lies in the cache; the (T, N) logits
never exist, and nothing is computed twice. Gradients in the forward pass, by chunks of rows, are Liger Kernel's idea
(Hsu et al., 2024, arXiv 2410.10989); ours is a way with torch's own operators on any device, in chunks that its cache
holds. `kernel="liger"` takes Liger's own Triton kernel on a GPU instead (nn/liger).

With `product_dtype=torch.bfloat16` the three products take inputs rounded to bf16 and add up in fp32; the logits are
rounded too, the softmax, the target's share and the sums over chunks stay fp32. A processor without fast bf16 products
is given fp32 ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pte.nn import liger

KERNELS = ("chunked", "liger")
# Bytes of logits at a time. Ours: on a CPU what stays in a second-level cache, on a GPU few and large products.
_CHUNK_BYTES = {"cpu": 2**21, "cuda": 2**28}


def catalogue_cross_entropy(
    hidden: Tensor,
    table: Tensor,
    target: Tensor,
    *,
    total: float,
    chunk: int | None = None,
    product_dtype: torch.dtype = torch.float32,
    kernel: str = "chunked",
) -> Tensor:
    """1/total times the summed cross-entropy of `target` (T,) in 1..N under `hidden` (T, D) times `table` (N+1, D).

    Row 0 of the table is padding: no candidate, no gradient. chunk: rows at a time, None = what a cache holds. kernel:
    one of KERNELS. Chunked values are exact up to 85 nats per target and clipped there; gradients are always exact.
    """
    if product_dtype == torch.bfloat16 and not fast_bfloat16(hidden.device):
        product_dtype = torch.float32
    if chunk is None:
        row = len(table) * product_dtype.itemsize
        chunk = max(16, _CHUNK_BYTES.get(hidden.device.type, 2**24) // row)
    if kernel == "liger" and len(target):  # whose number of chunks is none to divide by without targets
        return liger.cross_entropy(hidden, table, target, total=total, chunk=chunk, product_dtype=product_dtype)
    with torch.autocast(hidden.device.type, enabled=False):  # the dtype of the products is this function's own business
        return _CatalogueCrossEntropy.apply(hidden, table, target, float(total), chunk, product_dtype)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bf16 products are at least as fast as fp32 ones: elsewhere they are emulated number by number."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, target: Tensor, total: float, chunk: int, dtype: torch.dtype
    ) -> Tensor:
        wants_hidden, wants_table = ctx.needs_input_grad[:2]
        h, items, column = hidden.to(dtype), table[1:].to(dtype), target - 1
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty(hidden.shape, dtype=torch.float32, device=hidden.device) if wants_hidden else None
        grad_table = torch.zeros(table.shape, dtype=torch.float32, device=table.device) if wants_table else None
        # Two scratch blocks serve every chunk: fresh ones would have to be mapped by the system each time.
        logits, softmax = (torch.empty(min(chunk, len(h)), len(items), dtype=dtype, device=h.device) for _ in range(2))
        for begin in range(0, len(hidden), chunk):
            rows = slice(begin, min(begin + chunk, len(hidden)))
            count = rows.stop - begin
            s = torch.mm(h[rows], items.T, out=logits[:count])
            p = torch.softmax(s, dim=1, out=softmax[:count])
            loss -= p.gather(1, column[rows, None]).float().clamp_min(1e-37).log().sum()
            if grad_hidden is not None:
                grad_hidden[rows] = p @ items
            if grad_table is not None:
                _add_product(grad_table[1:], p.T, h[rows])
        if grad_hidden is not None:
            grad_hidden -= table[target]
        if grad_table is not None:
            grad_table.index_add_(0, target, hidden.to(grad_table.dtype), alpha=-1)
        ctx.save_for_backward(grad_hidden, grad_table)
        ctx.total, ctx.dtypes = total, (hidden.dtype, table.dtype)
        return loss / total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / ctx.total
        # In place: the table's gradient is as large as the table. A second backward is refused by autograd's own check.
        made = (g if g is None else g.mul_(scale).to(d) for g, d in zip(ctx.saved_tensors, ctx.dtypes, strict=True))
        return (*made, None, None, None, None)


def _add_product(into: Tensor, a: Tensor, b: Tensor) -> None:
    """into += a @ b with fp32 sums; `into` is fp32, a and b share a dtype."""
    if a.dtype == into.dtype:
        into.addmm_(a, b)
    elif a.device.type == "cuda":
        into += torch.mm(a, b, out_dtype=into.dtype)
    else:
        into += a @ b
