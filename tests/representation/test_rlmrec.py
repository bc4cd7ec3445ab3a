"""RLMRec's two losses, in both forms, against loops; what is hidden, and what is not."""

import math

import numpy as np
import pytest
import torch
from helper.representation import NUM_ITEMS, made, vectors

from pte.nn.batch import PackedBatch
from pte.representation import rlmrec_gen
from pte.schema import InputError


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0).item()


def test_con_cosine_is_the_mean_over_items():
    model = made("rlmrec_con", form="cosine", weight=0.5)
    semantic, own, text = model.project(vectors()[1:]), model.weight, vectors()
    assert semantic.shape == own.shape
    expected = 0.5 * (1 - sum(cosine(semantic[i], own[i]) for i in range(NUM_ITEMS)) / NUM_ITEMS)
    assert model.auxiliary().item() == pytest.approx(expected, abs=1e-6)
    assert len(text) == NUM_ITEMS + 1


def test_con_infonce_finds_the_text_from_the_id():
    model = made("rlmrec_con", form="infonce", weight=0.5, temperature=0.2)
    semantic, own = model.project(vectors()[1:]), model.weight
    expected = 0.0
    for i in range(NUM_ITEMS):
        over = sum(math.exp(cosine(own[i], semantic[j]) / 0.2) for j in range(NUM_ITEMS))
        expected += math.log(over) - cosine(own[i], semantic[i]) / 0.2
    assert model.auxiliary().item() == pytest.approx(0.5 * expected / NUM_ITEMS, abs=1e-5)


def test_gen_cosine_is_the_mean_over_items():
    model = made("rlmrec_gen", form="cosine", weight=0.5)
    prediction = model.tell(model.weight)
    expected = 0.5 * (1 - sum(cosine(prediction[i], vectors()[i + 1]) for i in range(NUM_ITEMS)) / NUM_ITEMS)
    assert model.auxiliary().item() == pytest.approx(expected, abs=1e-6)
    assert model.token is None


@pytest.mark.parametrize("name", ["rlmrec_con", "rlmrec_gen"])
def test_a_sample_estimates_the_whole(name):
    """The mean over many samples of 6 of 12 items is the mean over all 12."""
    torch.manual_seed(0)
    whole = made(name, form="cosine", sample=0).auxiliary().item()
    model = made(name, form="cosine", sample=6)
    draws = np.array([model.auxiliary().item() for _ in range(400)])
    assert draws.std() > 0
    assert abs(draws.mean() - whole) < 4 * draws.std() / math.sqrt(400)


def test_the_map_has_the_papers_shape():
    layers = made("rlmrec_con").project
    assert [tuple(p.shape) for p in layers.parameters()] == [(9, 10), (9,), (8, 9), (8,)]
    assert isinstance(layers[1], torch.nn.LeakyReLU)


def masked_model(mask: float = 0.4):
    model = made("rlmrec_gen", form="masked", mask=mask, weight=0.5)
    with torch.no_grad():
        model.token.fill_(7.0)
    return model


def test_hidden_items_are_read_as_the_token_and_scored_as_themselves():
    model = masked_model()
    table = model.table()
    read = model.inputs(table)
    hidden = (read == 7.0).all(dim=1)
    assert hidden.sum() == 5  # round(.4 * 12)
    assert not hidden[0]
    assert torch.equal(read[~hidden], table[~hidden])
    again = (model.inputs(table) == 7.0).all(dim=1)
    assert not torch.equal(hidden, again), "every step hides others"


def test_masked_loss_is_infonce_over_hidden_places():
    model = masked_model()
    item = torch.tensor([[1, 2, 3, 4, 5, 2], [6, 7, 8, 9, 0, 0]])
    batch = PackedBatch(item, item, (item > 0).long(), item, total=1.0)
    model.inputs(model.table())
    state = torch.randn(2, 6, 8)
    places = [(r, c) for r in range(2) for c in range(6) if model.hidden[item[r, c]]]
    assert len(places) > 1
    prediction, text = model.tell(state), vectors()
    expected = 0.0
    for r, c in places:
        others = [p for p in places if item[p] != item[r, c]] + [(r, c)]
        over = sum(math.exp(cosine(prediction[r, c], text[item[p]]) / 0.2) for p in others)
        expected += math.log(over) - cosine(prediction[r, c], text[item[r, c]]) / 0.2
    found = model.sequence_auxiliary(batch, state, None)
    assert found.item() == pytest.approx(0.5 * expected / len(places), abs=1e-5)
    assert model.auxiliary().item() == 0


def test_masked_loss_of_two_processes_is_that_of_one(monkeypatch):
    """Averaged over processes with unequally many hidden places, one of them alone in seeing some: loss, gradient."""
    model = masked_model(mask=0.5)
    item = torch.tensor([[1, 2, 3, 4, 5, 2], [6, 7, 8, 9, 10, 11], [1, 12, 0, 0, 0, 0]])
    state = torch.randn(3, 6, 8)
    model.inputs(model.table())

    def loss_of(rows, elsewhere):
        monkeypatch.setattr(rlmrec_gen, "others", lambda value: elsewhere)
        part = PackedBatch(item[rows], item[rows], (item[rows] > 0).long(), item[rows], total=1.0)
        return model.sequence_auxiliary(part, state[rows], None)

    def hidden(rows):
        return item[rows][model.hidden[item[rows]]]

    whole = loss_of([0, 1, 2], [])
    split = (loss_of([0], [hidden([1, 2])]) + loss_of([1, 2], [hidden([0])])) / 2
    assert whole.item() == pytest.approx(split.item(), abs=1e-6)
    weight = model.tell[0].weight
    torch.testing.assert_close(*(torch.autograd.grad(loss, weight)[0] for loss in (whole, split)))


def test_a_step_that_hides_nothing_it_reads_still_has_gradients():
    model = masked_model(mask=0.1)
    model.inputs(model.table())
    item = (~model.hidden).nonzero()[1:3].T
    batch = PackedBatch(item, item, item.clamp(max=1), item, total=1.0)
    loss = model.sequence_auxiliary(batch, torch.randn(1, 2, 8), None)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.tell.parameters())


def test_text_itself_never_learns_and_ids_do():
    for name in ("rlmrec_con", "rlmrec_gen"):
        model = made(name, form="cosine")
        model.auxiliary().backward()
        assert model.weight.grad.abs().sum(dim=1).min() > 0
        assert not model.text.requires_grad


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("rlmrec_con", {"form": "masked"}), ("rlmrec_gen", {"form": "infonce"}), ("rlmrec_gen", {"mask": 0.0})],
)
def test_wrong_knobs_are_refused(name, wrong):
    with pytest.raises(InputError):
        made(name, **wrong)
