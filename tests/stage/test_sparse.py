"""A sparse item table in the training stage: it learns, resumes bit by bit, and what cannot go is refused."""

import csv
import json

import numpy as np
import pytest
import torch
from helper.training import ITEMS, KilledError, changed, context, same_ends
from safetensors.torch import load_file

from pte.schema import InputError
from pte.stage import training
from pte.train import check

LAZY = {"_target_": "pte.nn.kernel.lazy_adam.LazyAdam"}
SAMPLED = {"loss": {"_target_": "pte.nn.loss.sampled_softmax.SampledSoftmax"}}
SPARSE = changed(representation={"sparse": True}, backbone=SAMPLED, optimizer=LAZY)


def test_it_learns(tmp_path, parents):
    made = context(tmp_path, parents, {**SPARSE, "trainer": {**SPARSE["trainer"], "max_epochs": 12}})
    training.run(made)
    assert json.loads((made.out / "facts.json").read_text())["best"] > 0.9  # a random ranking of 25 items has 0.18
    with (made.out / "curve.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0] < 1.1 * np.log(ITEMS)


def test_a_killed_run_resumes_bit_by_bit(tmp_path, parents, on_line):
    whole = context(tmp_path, parents, SPARSE, work="w1", out="o1")
    training.run(whole)

    def die(line):
        if "epoch   2/" in line:
            raise KilledError

    with on_line(die), pytest.raises(KilledError):
        training.run(context(tmp_path, parents, SPARSE, work="w2", out="o2"))
    resumed = context(tmp_path, parents, SPARSE, work="w2", out="o2")
    training.run(resumed)
    same_ends(whole, resumed)


def test_bf16_activations_leave_fp32_weights(tmp_path, parents):
    trainer = {**SPARSE["trainer"], "precision": "bf16-mixed", "max_epochs": 1}
    made = context(tmp_path, parents, {**SPARSE, "trainer": trainer})
    training.run(made)
    assert load_file(made.out / "weights.safetensors")["representation.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("optimizer", "knobs", "says"),
    [
        ("torch.optim.Adam", {}, "optimizer=sparse_adam"),
        (LAZY["_target_"], {"gradient_clip": 1.0}, r"trainer\.gradient_clip=null"),
        (LAZY["_target_"], {"strategy": "ddp"}, r"trainer\.devices=1 trainer\.strategy=auto"),
        (LAZY["_target_"], {"strategy": "fsdp"}, r"trainer\.devices=1 trainer\.strategy=auto"),
        (LAZY["_target_"], {"precision": "bf16-true"}, "fp32"),
        (LAZY["_target_"], {"precision": "16-mixed"}, "fp32"),
    ],
)
def test_what_does_not_go_together_is_refused(optimizer, knobs, says):
    good = {"gradient_clip": None, "strategy": "auto", "precision": "32-true"}
    check.sparse(good, LAZY["_target_"])
    with pytest.raises(InputError, match=says):
        check.sparse({**good, **knobs}, optimizer)


def test_several_processes_are_refused_whatever_the_strategy_is_called(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"trainer\.devices=1"):
        check.sparse({"gradient_clip": None, "strategy": "auto", "precision": "32-true"}, LAZY["_target_"])


def test_the_stage_asks_before_it_trains(tmp_path, parents):
    config = changed(representation={"sparse": True}, backbone=SAMPLED)
    with pytest.raises(InputError, match="optimizer=sparse_adam"):
        training.run(context(tmp_path, parents, config))
