"""Shared by tests: Frozen, ITEMS, WIDTH, make."""

import torch

from pte.backbone.dreamrec import DreamRec
from pte.nn.item_table import ItemTable

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


def make(representation=None, **change):
    torch.manual_seed(0)
    knobs = {
        "length": 8, "inner": 16, "layers": 1, "heads": 2, "dropout": 0.0, "attention_dropout": 0.0, "std": 1.0,
        "schedule": "exp", "steps": 40, "guidance": 2.0, "uncondition": 0.1, "depth": 1, "sampler": "exact",
        "stride": 10, "cosine": False, "target_gradient": True, "sphere": False, **change,
    }  # fmt: skip
    return DreamRec(representation=representation or Frozen(), num_items=ITEMS, **knobs)
