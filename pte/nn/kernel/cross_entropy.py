"""Cross-entropy over the whole catalogue without keeping the logits: chunks of rows, gradients made on the way forward.

For targets t = 1..T with hidden states h_t and item vectors e_i:

    loss = 1/total sum_t ( log sum_{i=1..N} exp(h_t . e_i) - h_t . e_{y_t} )
    d loss / d h_t = 1/total ( sum_i p_ti e_i - e_{y_t} )
    d loss / d e_i = 1/total sum_t ( p_ti - [i = y_t] ) h_t,        p_t = softmax(h_t E^T)

A chunk is multiplied out, normalised and used for both gradients while it lies in the cache (nn/kernel/catalogue_pass
has the ways over them); memory is bounded whatever T and N, and nothing is computed twice. Gradients in the forward
pass, by chunks of rows, are Liger Kernel's idea (Hsu et al., 2024, arXiv 2410.10989); ours is a way with torch's own
operators on any device. `kernel="liger"` takes Liger's own Triton kernel on a GPU instead (nn/kernel/liger).

With `product_dtype=torch.bfloat16` the three products take inputs rounded to bf16 and add up in fp32; the logits are
rounded too, the softmax, the target's share and the sums over chunks stay fp32. A processor without fast bf16 products
is given fp32 ones. Reference: `F.cross_entropy` of all logits (tests/nn/kernel/test_cross_entropy.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pte.nn.device import fast_dtype
from pte.nn.kernel import catalogue_pass as sweep
from pte.nn.kernel import liger

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
    one of KERNELS. Chunked values are exact up to 85 nats per target and clipped there; gradients are always exact, and
    are made for one backward.
    """
    if product_dtype == torch.bfloat16:
        product_dtype = fast_dtype(hidden.device)
    if kernel == "liger" and len(target):  # whose number of chunks is none to divide by without targets
        rows = chunk or _rows(len(table) * product_dtype.itemsize, hidden.device)
        return liger.cross_entropy(hidden, table, target, total=total, chunk=rows, product_dtype=product_dtype)
    with torch.autocast(hidden.device.type, enabled=False):  # the dtype of the products is this function's own business
        loss: Tensor = _CatalogueCrossEntropy.apply(hidden, table, target, float(total), chunk, product_dtype)
        return loss


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, target: Tensor, total: float, chunk: int | None, dtype: torch.dtype
    ) -> Tensor:
        wants: tuple[bool, bool] = ctx.needs_input_grad[:2]
        if hidden.device.type == "cpu" and len(hidden) and sweep.bounded(hidden, table):
            loss, *gradients = sweep.by_tiles(hidden, table, target, dtype=dtype, rows=chunk, wants=wants)
        else:
            rows = chunk or _rows(len(table) * dtype.itemsize, hidden.device)
            loss, *gradients = sweep.by_rows(hidden, table, target, dtype=dtype, rows=rows, wants=wants)
        # Not by save_for_backward, which would hold on to them: autograd then adds to a copy of the table's gradient.
        ctx.gradients, ctx.total, ctx.dtypes = gradients, total, (hidden.dtype, table.dtype)
        return loss / total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("catalogue_cross_entropy makes its gradients once: call it again for another backward")
        gradients, ctx.gradients = ctx.gradients, None
        scale = grads[0] / ctx.total
        # In place: the table's gradient is as large as the table.
        return (
            *(g if g is None else g.mul_(scale).to(d) for g, d in zip(gradients, ctx.dtypes, strict=True)),
            *[None] * 4,
        )


def _rows(row_bytes: int, device: torch.device) -> int:
    return max(16, _CHUNK_BYTES.get(device.type, 2**24) // row_bytes)
