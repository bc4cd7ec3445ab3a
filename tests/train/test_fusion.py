"""backbone=fused through the training stage: what the reader sees, what is kept, what comes back."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pte.backbone.expert.likeness import Likeness
from pte.backbone.expert.profile import Profile
from pte.backbone.fused import Fused
from pte.backbone.markov import Markov
from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Entities, InputError, Interactions, Items, Selection
from pte.schema.context import Context
from pte.stage import reader, training
from pte.train import counting, fusion
from pte.train.loader import TrainingLoader
from pte.train.state.restore import restore

N, U, L = 12, 30, 8
PLANTED = 12  # an item of held-out rows alone
MEMORY = {"window": 2, "distance_power": 1.0, "backward": 0.5, "shrink": 1.0, "recency": 0.5, "fallback": 0.01}


class Reader(nn.Module, Backbone):
    def __init__(self, *, representation: nn.Module, num_items: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.weight = nn.Parameter(torch.arange(num_items, dtype=torch.float32) / num_items)

    def score(self, history: History, *, noise=None) -> torch.Tensor:
        return self.weight.expand(len(history.item), -1)


@pytest.fixture
def data():
    """The last training row of every user whose it is not shown to prompts is PLANTED, and no other row is."""
    item = np.random.default_rng(0).integers(1, PLANTED, (U, L)).astype(np.int32).ravel()
    user = np.repeat(np.arange(U, dtype=np.int32), L)
    items = Items([str(i) for i in range(N + 1)], [""] * (N + 1), {})
    interactions = Interactions(user, item, np.arange(U * L), [str(u) for u in range(U)], items, {})
    split = LeaveOneOut(holdout=1000)(interactions)
    item[split.holdout] = PLANTED
    return interactions, split


def build(group, **facts):
    if group == "representation":
        return nn.Module()
    return Fused(
        **facts, length=50, experts=["reader", "likeness", "memory"], reader=Reader,
        memory=functools.partial(Markov, length=50, **MEMORY), neighbors=2,
        likeness=functools.partial(Likeness, recency=0.5, components=None, neighbors=None, eps=1e-5), profile=Profile,
        candidates=5, gate_features=["history_length", "popularity"],
    )  # fmt: skip


@pytest.fixture
def run(data, tmp_path, monkeypatch):
    """Both stages on the planted rows, with a reader that is handed its weights; what was counted, call by call."""
    parents = {name: tmp_path / name for name in ("interactions", "split", "selection", "reader", "training", "work")}
    for folder in parents.values():
        folder.mkdir()
    vectors = torch.randn(N + 1, 4, generator=torch.Generator().manual_seed(1)).numpy()
    rows = np.concatenate([np.zeros((U, 4), np.float32), vectors[1:]])
    selection = Selection(Entities(U, N), rows, np.zeros(U + N, np.int16))
    for name, part in zip(parents, (*data, selection), strict=False):
        part.save(parents[name])
    read, counted = [], []
    count = Fused.fit
    monkeypatch.setattr(Fused, "fit", lambda self, item, start: (counted.append(item), count(self, item, start)))

    def fit(context, backbone, interactions, split):
        assert isinstance(backbone, Reader)
        loader = TrainingLoader(interactions, split, row_length=50, batch_size=64, seed=0)
        read.extend(batch.item for batch in loader)
        read.extend(batch.target for batch in loader)
        save_file({"weight": torch.linspace(0, 1, N)}, context.out / fusion.WEIGHTS)
        (context.out / "facts.json").write_text('{"parameters": 12, "free_per_item": 0}')
        (context.out / "curve.csv").write_text("step,loss\n1,2\n")

    monkeypatch.setattr("pte.train.trainer.fit", fit)
    config = {"seed": 0, "trainer": {"accelerator": "cpu"}}
    for stage in (reader, training):
        stage.run(Context(config, parents, parents[stage.NAME], parents["work"], build, []))
    return parents["training"], read, counted, selection


def test_a_reader_is_trained_before_and_its_curve_goes_with_it(run):
    assert (run[0] / "curve.csv").read_text() == "step,loss\n1,2\n"


def test_the_reader_and_the_gates_counts_never_see_a_held_out_row(run):
    _, read, counted, *_ = run
    assert read
    assert not any((part == PLANTED).any() for part in read)
    assert len(counted) == 1
    assert PLANTED not in counted[0]


@pytest.mark.parametrize("planted", ["the row itself", "another row of the pair"])
def test_a_row_that_texts_may_state_is_refused_for_the_gates(data, planted):
    interactions, split = data
    row = np.flatnonzero(split.holdout)[0]
    visible = split.visible.copy()
    if planted == "the row itself":
        visible[row] = True
    else:
        interactions.item[row - 1] = interactions.item[row]
    with pytest.raises(InputError, match="prompts may show 1 of the"):
        fusion.refuse_visible(interactions, replace(split, visible=visible))


def test_rows_held_out_by_a_protocol_pass(data):
    fusion.refuse_visible(*data)


def test_memory_counts_them_afterwards(run, data):
    with np.load(run[0] / counting.SEQUENCES) as file:
        assert (file["item"] == PLANTED).sum() == (data[0].item == PLANTED).sum() > 0
        assert len(file["item"]) == data[1].train.sum()


def test_what_comes_back_scores_equal(run, data):
    out, _, _, selection = run
    restored = restore(build, out, data[0], selection, "cpu")
    again = training.assemble(build, data[0], selection)
    fusion.restore(again, out)
    again.fit(*counting.sequences(*data))
    history = History(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1]))
    assert torch.equal(restored.score(history), again.score(history))
    assert torch.equal(restored.reader.weight, torch.linspace(0, 1, N))
    assert restored.gate.any()


def test_facts_say_what_the_method_consists_of(run):
    facts = json.loads((run[0] / "facts.json").read_text())
    assert list(facts["gates"]) == ["reader", "likeness", "memory"]
    assert facts["parameters"] == 12
    assert facts["gate_rows"] >= facts["gate_choices"] > 0


def test_the_formula_is_one_line():
    assert (
        fusion.formula({"reader": [1.0, 0.0], "memory": [2.0, -0.5]}) == "1.00 reader + (2.00 -0.50 log length) memory"
    )
