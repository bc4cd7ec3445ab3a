"""Adam that updates, of a table with a sparse gradient, the rows in that gradient and no others.

For a row i that a step reads, with t the steps taken so far (Kingma & Ba, ICLR 2015, Alg. 1):

    m_i <- b1 m_i + (1 - b1) g_i,    v_i <- b2 v_i + (1 - b2) g_i^2
    e_i <- e_i - lr sqrt(1 - b2^t) / (1 - b1^t)  m_i / (sqrt(v_i) + eps sqrt(1 - b2^t))

This is `torch.optim.SparseAdam` with one departure: eps stands where Adam has it, added to the corrected sqrt(v_i), so
that a table whose every row is read in every step moves as under `torch.optim.Adam`. All other parameters are Adam's.

What differs from Adam on the dense gradient: where g_i = 0, Adam still decays m_i and v_i and still moves e_i along the
remembered m_i. Here an unread row stays as it is, moments included. So the moments are averages over the steps that
read the row, not over time (tests/nn/kernel/test_lazy_adam.py), and one rare read moves its row by one step instead of
one that goes on for some 1 / (1 - b1) steps more. Weight decay would touch every row and is not offered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class LazyAdam(torch.optim.Adam):
    """`torch.optim.Adam` for dense gradients, row-wise Adam for sparse ones; the state of both is Adam's."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr=lr, betas=(betas[0], betas[1]), eps=eps, fused=fused)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Lightning computes the loss in the closure, so the gradients are there only after it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        sparse_grads = []
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._step_rows(table, table.grad.coalesce(), group)
                    sparse_grads.append((table, table.grad))
                    table.grad = None  # what Adam shall not see
        super().step()
        for table, grad in sparse_grads:
            table.grad = grad
        return loss

    def _step_rows(self, table: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=table.device if group["fused"] else "cpu")
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        t, (b1, b2) = float(state["step"]), group["betas"]
        row, g = grad.indices()[0], grad.values()
        m = state["exp_avg"][row].lerp_(g, 1 - b1)
        v = state["exp_avg_sq"][row].mul_(b2).addcmul_(g, g, value=1 - b2)
        state["exp_avg"][row], state["exp_avg_sq"][row] = m, v
        correction = math.sqrt(1 - b2**t)
        size = group["lr"] * correction / (1 - b1**t)
        table.index_add_(0, row, m / v.sqrt_().add_(group["eps"] * correction), alpha=-size)
