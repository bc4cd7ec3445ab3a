"""A counted backbone goes through the training stage without training, and comes back equal."""

import json

import numpy as np
import pytest
import torch

from pte.backbone.markov import Markov
from pte.nn.batch import History
from pte.schema.context import Context
from pte.stage import training
from pte.train import counting
from pte.train.state.restore import restore

KNOBS = {"window": 2, "distance_power": 1.0, "backward": 0.5, "shrink": 1.0, "recency": 0.5, "fallback": 0.01}


def test_only_training_rows_are_stored(twelve, twelve_split, tmp_path):
    facts = counting.keep(twelve, twelve_split, tmp_path)
    with np.load(tmp_path / counting.SEQUENCES) as file:
        assert file["item"].tolist() == [1, 2, 3, 2, 3, 1, 2, 3]  # ann 1 2 3, bob 2 3, cy 1 2, dee 3
        assert file["start"].tolist() == [0, 3, 5, 7, 8]
    assert facts == json.loads((tmp_path / "facts.json").read_text())
    assert facts["trained"] is False


def test_users_without_training_rows_have_no_sequence(twelve, twelve_split, tmp_path):
    train = twelve_split.train.copy()
    train[5:7] = False  # bob
    counting.keep(twelve, type(twelve_split)(train, train, twelve_split.valid, twelve_split.test), tmp_path)
    with np.load(tmp_path / counting.SEQUENCES) as file:
        assert file["start"].tolist() == [0, 3, 5, 6]


@pytest.fixture
def context(twelve, twelve_split, tmp_path):
    folders = {name: tmp_path / name for name in ("interactions", "split", "out", "work")}
    for folder in folders.values():
        folder.mkdir()
    twelve.save(folders["interactions"])
    twelve_split.save(folders["split"])

    def build(group, **facts):
        if group == "representation":
            return torch.nn.Module()
        assert group == "backbone", "nothing else is needed, no optimizer above all"
        return Markov(length=50, **facts, **KNOBS)

    parents = {name: folders[name] for name in ("interactions", "split")}
    config = {"trainer": {"accelerator": "cpu"}, "seed": 0}
    return Context(config, parents, folders["out"], folders["work"], build, [])


def test_the_training_stage_keeps_and_restores_a_counted_backbone(context, twelve):
    training.run(context)
    restored = restore(context.build, context.out, twelve, None, "cpu")
    expected = context.build("backbone", representation=None, num_items=6)
    expected.fit(np.array([1, 2, 3, 2, 3, 1, 2, 3]), np.array([0, 3, 5, 7, 8]))
    history = History(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1]))
    assert torch.equal(restored.score(history), expected.score(history))
