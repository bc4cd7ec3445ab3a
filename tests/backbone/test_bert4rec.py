"""Cloze by hand, no leak of what is masked, both directions read, and a toy order learnt."""

import pytest
import torch

from pte.backbone import bert4rec
from pte.backbone.bert4rec import BERT4Rec, cloze, whole
from pte.nn.batch import History, PackedBatch
from pte.representation.id import Id
from pte.schema import InputError

ITEMS = 8


def make(mask=0.5, **change):
    torch.manual_seed(0)
    knobs = {"inner": 32, "layers": 2, "heads": 2, "length": 6, "dropout": 0.0, "attention_dropout": 0.0, **change}
    model = BERT4Rec(representation=Id(num_items=ITEMS, width=16, std=0.5), num_items=ITEMS, mask=mask, **knobs)
    torch.nn.init.normal_(model.masked)
    return model


def packed():
    """Histories 1 2 3 and 4 5 in one row of five places."""
    rows = {"item": [1, 2, 4, 0, 0], "position": [0, 1, 0, 0, 0], "segment": [1, 1, 2, 0, 0], "target": [2, 3, 5, 0, 0]}
    return PackedBatch(**{name: torch.tensor([row]) for name, row in rows.items()}, total=3.0)


def test_histories_are_whole_again():
    item, row, place = whole(packed())
    assert item.tolist() == [[1, 2, 3], [4, 5, 0]]
    assert (row.tolist(), place.tolist()) == ([0, 0, 1], [0, 1, 0])


def test_cloze_by_hand():
    item = torch.tensor([[1, 2, 3], [4, 5, 0], [6, 0, 0], [0, 0, 0]])
    uniform = torch.tensor([[0.1, 0.9, 0.2], [0.9, 0.9, 0.0], [0.9, 0.9, 0.9], [0.0, 0.0, 0.0]])
    masked = cloze(item, uniform, 0.2)  # none of the second and third is drawn: their last places; 0.2 is not below
    assert masked.tolist() == [[True, False, False], [False, True, False], [True, False, False], [False] * 3]


def test_what_is_masked_is_not_seen_and_both_sides_are():
    model = make().eval()
    table = model.representation.table()
    masked = torch.tensor([[False, False, True, False, False]])

    def state(*items):
        return model._states(table, torch.tensor([items]), masked)[0, 2]

    at = state(1, 2, 3, 4, 5)
    assert torch.equal(at, state(1, 2, 7, 4, 5))  # the item under the mask leaks nowhere
    assert not torch.allclose(at, state(1, 6, 3, 4, 5))
    assert not torch.allclose(at, state(1, 2, 3, 4, 6))  # a later item: not causal
    assert torch.allclose(at, model._states(table, torch.tensor([[1, 2, 3, 4, 5, 0, 0]]),
                                            torch.tensor([[False, False, True, False, False, False, False]]))[0, 2],
                          atol=1e-5)  # fmt: skip


def test_padding_and_other_histories_change_no_score():
    model = make().eval()
    one = model.score(History(torch.tensor([[1, 2, 3]]), torch.tensor([3])))
    two = model.score(History(torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]]), torch.tensor([3, 5])))
    assert one.shape == (1, ITEMS)
    assert torch.allclose(one[0], two[0], atol=1e-5)


@pytest.mark.parametrize("mask", [0, 1, -0.1, 1.5])
def test_a_share_that_cannot_be_is_refused(mask):
    with pytest.raises(InputError, match=r"backbone\.mask="):
        make(mask=mask)


def test_a_cycle_is_learnt():
    """Every history walks 1 2 ... 8 1 ...: the next item follows from any of them."""
    model = make(mask=0.3)
    walks = torch.stack([(torch.arange(6) + start) % ITEMS + 1 for start in range(ITEMS)])
    rows = {"item": walks[:, :-1], "target": walks[:, 1:], "position": torch.arange(5).expand(ITEMS, -1)}
    batch = PackedBatch(**rows, segment=torch.ones(ITEMS, 5, dtype=torch.long), total=40.0)
    adam = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(600):
        adam.zero_grad()
        model.loss(batch)["loss"].backward()
        adam.step()
    best = model.eval().score(History(walks[:, :5], torch.full((ITEMS,), 5))).argmax(1) + 1
    assert best.tolist() == walks[:, 5].tolist()


def test_the_loss_excludes_whole_histories_and_is_a_mean_over_what_is_masked(monkeypatch):
    """All five places of 1 2 3 and 4 5 are masked, of three targets: a mean over five counts for three of `total`."""
    model, given = make(), {}
    monkeypatch.setattr(bert4rec, "cloze", lambda item, uniform, share: item > 0)

    class Objective:
        exclude_history = True

        def __call__(self, hidden, table, target, **knobs):
            given.update(knobs, target=target)
            return hidden.sum() * 0

    model.objective = Objective()
    model.loss(packed())
    assert given["target"].tolist() == [1, 2, 3, 4, 5]
    assert float(given["total"]) == 3.0 * 5 / 3
    mine, other = [True, True, True, False, False], [False, False, False, True, True]
    assert given["exclusion"].contains(torch.arange(1, 6)).tolist() == [mine] * 3 + [other] * 2
