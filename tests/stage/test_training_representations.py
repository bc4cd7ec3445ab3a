"""The training stage with every representation: it learns, its weights are whole, and it is rebuilt from them."""

import json

import numpy as np
import pytest
import torch
from helper.representation import SMALL, configured
from helper.training import ITEMS, changed, context, walks

from pte.schema import Entities, Interactions, Selection, Split
from pte.stage import training
from pte.train.loader import EvaluationLoader
from pte.train.state.restore import restore

TEXT = [name for name in SMALL if name != "id"]


@pytest.fixture(scope="module")
def material():
    """Interactions, split, and texts that tell neighbours on the circle apart: unit vectors along it, and noise."""
    angle = np.arange(ITEMS + 1)[:, None] * 2 * np.pi / ITEMS * np.arange(1, 6)
    vectors = np.concatenate([np.sin(angle), np.cos(angle)], axis=1) + 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.concatenate([np.zeros((90, 10)), vectors[1:]]).astype(np.float32)
    return *walks(), Selection(Entities(90, ITEMS), rows, np.zeros(90 + ITEMS, np.int16))


@pytest.mark.parametrize("name", TEXT)
def test_it_learns_and_is_rebuilt(tmp_path, material, monkeypatch, name):
    interactions, split, selection = material
    monkeypatch.setattr(Interactions, "load", lambda path: interactions)
    monkeypatch.setattr(Split, "load", lambda path: split)
    monkeypatch.setattr(Selection, "load", lambda path: selection)
    conf = configured(name)
    small = dict(SMALL[name])
    if "null_space" in conf:  # a part, here as configured
        small["null_space"] = {**conf["null_space"], "share": None, "dim": 3}
    config = changed(trainer={"max_epochs": 8}) | {"representation": {**conf, **small}}
    made = context(tmp_path, {"interactions": tmp_path, "split": tmp_path, "selection": tmp_path}, config)
    training.run(made)
    facts = json.loads((made.out / "facts.json").read_text())
    assert facts["best"] > 0.3, "a random ranking of 25 items has 0.18"
    rebuilt = [restore(made.build, made.out, interactions, selection, "cpu") for _ in range(2)]
    question = next(iter(EvaluationLoader(interactions, split.valid, row_length=8)))
    one, other = (backbone.score(question.history) for backbone in rebuilt)
    assert torch.equal(one, other)
