"""A free table: right shape, right scale, padding that stays zero through training."""

import torch

from pte.backbone.sasrec import SASRec
from pte.nn.batch import PackedBatch
from pte.representation.id import Id


def test_shape_and_scale():
    torch.manual_seed(0)
    table = Id(num_items=10_000, width=8, std=0.02)
    assert table.table().shape == (10_001, 8)
    assert table.table()[0].abs().max() == 0
    assert abs(table.table()[1:].std().item() / 0.02 - 1) < 0.02
    assert table.auxiliary().item() == 0
    assert not Id.uses_text


def test_padding_stays_zero_when_trained():
    torch.manual_seed(0)
    table = Id(num_items=9, width=8, std=0.02)
    model = SASRec(
        representation=table, num_items=9, length=4, inner=16, layers=1, heads=2, dropout=0.1, attention_dropout=0.1,
    )  # fmt: skip
    item = torch.tensor([[1, 2, 3, 0]])
    batch = PackedBatch(item, torch.tensor([[0, 1, 2, 0]]), item.sign(), torch.tensor([[2, 3, 4, 0]]), total=3.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    before = table.table().detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        model.loss(batch)["loss"].backward()
        optimizer.step()
    assert table.table()[0].abs().max() == 0
    assert (table.table()[1:] - before[1:]).abs().min() > 0
