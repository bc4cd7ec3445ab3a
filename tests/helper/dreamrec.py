"""Shared by tests: Frozen, ITEMS, WIDTH, make."""

from dataclasses import fields
from functools import partial

import torch

from pte.backbone.dreamrec import DreamRec
from pte.nn.diffusion import Diffusion
from pte.nn.item_table import ItemTable
from pte.nn.sampler import DDIM, DDPM, Exact
from pte.nn.sequence.attention import Encoder

ITEMS, WIDTH = 30, 8


class Frozen(ItemTable):
    """A fixed table of unit variance."""

    uses_text = True
    width = WIDTH

    def __init__(self):
        super().__init__()
        table = torch.randn(ITEMS + 1, WIDTH, generator=torch.Generator().manual_seed(7))
        table[0] = 0
        self.register_buffer("rows", table)

    def table(self):
        return self.rows


def make(representation=None, *, num_items=ITEMS, length=8, heads=2, dropout=0.0, sampler="exact", stride=10, **change):
    """A small DreamRec; `change`: of its own knobs and the diffusion's."""
    torch.manual_seed(0)
    knobs = {
        "schedule": "exp", "steps": 40, "guidance": 2.0, "uncondition": 0.1, "depth": 1, "std": 1.0, "cosine": False,
        "target_gradient": True, "sphere": False, "ranking": 0.0, **change,
    }  # fmt: skip
    process = Diffusion(**{field.name: knobs.pop(field.name) for field in fields(Diffusion)})
    samplers = {"exact": Exact, "ddpm": DDPM, "ddim": partial(DDIM, stride)}
    encoder = partial(Encoder, inner=16, layers=1, heads=heads, dropout=dropout, attention_dropout=dropout)
    return DreamRec(
        representation=representation or Frozen(), num_items=num_items, length=length, encoder=encoder,
        diffusion=process, sampler=samplers[sampler](), **knobs,
    )  # fmt: skip
