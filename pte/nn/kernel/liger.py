"""Liger Kernel's fused linear cross-entropy as a way to make kernel/cross_entropy's loss and gradients on a GPU.

Hsu et al., 2024 (arXiv 2410.10989), `liger_kernel` on PyPI, by its public functional form. Per chunk of rows: a product
of states and items, one Triton kernel that turns the logits where they lie into (p_ti - [i = y_t]) and a loss, and two
products for the gradients. The table's gradient adds up in fp32. Three things are ours to see to:

- Liger's own chunk holds next_pow2(T / ceil(N / D)) rows, made for D in the thousands; at D = 64 and N = 11,924 that is
  8 rows of 770 targets. `_budget` is the factor on its memory with which it takes about the rows that we ask for.
- Given bf16 tensors it rounds the table's finished gradient to bf16. Given fp32 ones under autocast it rounds the same
  inputs, product by product, and that gradient stays fp32.
- It makes no gradient at all where the states want none, though the table may.

It scales its gradients where they lie, and autograd does not see it: call backward once. Reference:
`F.cross_entropy` of all logits (tests/nn/kernel/test_liger.py).
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from pte.schema import InputError

DEVICES = ("cuda",)  # where Triton compiles Liger's kernels

NEEDED = "backbone.loss.kernel=liger needs Liger Kernel: pip install 'pte[gpu]', or take backbone.loss.kernel=chunked"


def check(device: str) -> None:
    """InputError for a type of device on which it does not run, or where it is not installed."""
    if device not in DEVICES:
        raise InputError(
            f"backbone.loss.kernel=liger runs on a CUDA GPU and this model is on the {device}: "
            "take backbone.loss.kernel=chunked, or trainer.accelerator=gpu where there is one"
        )
    if find_spec("liger_kernel") is None:
        raise InputError(NEEDED)


def cross_entropy(
    hidden: Tensor, table: Tensor, target: Tensor, *, total: float, chunk: int, product_dtype: torch.dtype
) -> Tensor:
    """As `catalogue_cross_entropy`, for at least one target; chunk: about how many rows at a time."""
    check(hidden.device.type)
    try:
        from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy
    except ImportError as error:
        raise InputError(f"{NEEDED} ({error})") from error
    if table.requires_grad and not hidden.requires_grad:
        hidden = hidden.detach().requires_grad_()
    with torch.autocast(hidden.device.type, torch.bfloat16, enabled=product_dtype == torch.bfloat16):
        summed: Tensor = liger_fused_linear_cross_entropy(
            hidden.float(),
            table[1:].float(),
            target - 1,
            reduction="sum",
            accum_dtype=torch.float32,
            chunk_mem_const=_budget(len(hidden), hidden.shape[1], len(table) - 1, chunk),
        )
    return summed / total


def _budget(targets: int, width: int, num_items: int, chunk: int) -> int:
    """The factor C with which Liger's chunk, next_pow2(T / ceil(N / (C D))), is about `chunk` of T rows."""
    return max(1, chunk * num_items // (targets * width))
