"""Shared by tests: gradients, plain, problem."""

import torch
from torch.nn import functional as F


def problem(targets=37, width=8, num_items=101, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = (scale * torch.randn(targets, width, generator=generator)).requires_grad_()
    table = torch.randn(num_items + 1, width, generator=generator).requires_grad_()
    target = torch.randint(1, num_items + 1, (targets,), generator=generator)
    return hidden, table, target


def plain(hidden, table, target, total):
    return F.cross_entropy(hidden @ table[1:].T, target - 1, reduction="sum") / total


def gradients(loss, hidden, table):
    return torch.autograd.grad(loss, (hidden, table))
