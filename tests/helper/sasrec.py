"""Shared by tests: ITEMS, make."""

import torch

from pte.backbone.sasrec import SASRec
from pte.representation.id import Id

ITEMS = 30


def make(dropout=0.0, length=8, **change):
    torch.manual_seed(0)
    knobs = {"inner": 32, "layers": 2, "heads": 2, **change}
    return SASRec(
        representation=Id(num_items=ITEMS, width=16, std=0.5), num_items=ITEMS, length=length, dropout=dropout,
        attention_dropout=dropout, **knobs,
    )  # fmt: skip
