"""MoRec: one dense layer and GELU over frozen text."""

import math

import torch
from helper.representation import made, vectors


def test_an_item_by_hand():
    model = made("morec", width=1)
    with torch.no_grad():
        model.dense.weight.fill_(1.0)
        model.dense.bias.fill_(-0.5)
    x = vectors()[4].sum().item() - 0.5
    gelu = x * 0.5 * (1 + math.erf(x / math.sqrt(2)))
    assert abs(model.table()[4, 0].item() - gelu) < 1e-6


def test_text_is_frozen():
    model = made("morec")
    assert {name for name, _ in model.named_parameters()} == {"dense.weight", "dense.bias"}
    assert "text" not in model.state_dict(), "the vectors come from their own artefact"
