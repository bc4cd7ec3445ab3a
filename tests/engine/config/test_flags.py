"""Flags of the command that go wrong, alone or together, and what a sweep of nothing but mistakes ends with."""

from __future__ import annotations

import pytest
from helper.command import sentence

MARKOV = ["backbone=markov", "representation=id"]


@pytest.mark.parametrize(
    ("words", "named"),
    [("--cfg job --package nosuch", "--package nosuch"), ("--cfg job --package backbone.nosuch", "backbone.nosuch"),
     ("--cfg hydra --package trainer", "--package trainer"), ("--cfg job --package hydra", "--package hydra"),
     ("--cfg job --package seed", "--package seed"), ("--package trainer", "--cfg"), ("--resolve", "--cfg"),
     ("--run -m", "--run --multirun"), ("--cfg job -m", "--multirun --cfg"), ("--info --cfg job", "--cfg --info"),
     ("--cfg what", "--cfg"), ("--info nosuch", "--info"), ("--nosuch", "--nosuch"), ("-x", "-x"),
     ("--experimental-rerun nosuch", "--experimental-rerun")],
)  # fmt: skip
def test_flags_that_go_wrong(words, named, pte, tmp_path):
    code, streams = pte(*MARKOV, *words.split())
    assert code == 2
    assert named in sentence(streams.err)
    assert {path.name for path in tmp_path.iterdir()} == {"inter.csv", "items.csv"}


@pytest.mark.parametrize("words", ["--cfg job --package backbone", "--cfg all --package hydra.job", "--cfg job"])
def test_flags_that_show(words, pte):
    code, streams = pte(*MARKOV, *words.split())
    assert (code, streams.err) == (0, "")
    assert "_target_: pte.backbone.markov.Markov" in streams.out or "config_name" in streams.out


@pytest.mark.parametrize(
    ("mistake", "status"), [("seed=", 2), ("seed=0,x", 1), ("backbone.window=1,0", 1), ("ranking=x,y", 2)]
)
def test_a_sweep_of_mistakes_alone_ends_as_a_mistake(mistake, status, pte):
    code, streams = pte(*MARKOV, "-m", mistake, "plan=true")
    assert code == status
    assert f"0: ERROR: {mistake[:5]}" in streams.err or f"1: ERROR: {mistake[:5]}" in streams.err


def test_a_sweep_that_another_failure_ended(pte, monkeypatch):
    monkeypatch.setattr("pte.engine.validation.check_job", lambda cfg: 1 / 0)
    code, streams = pte(*MARKOV, "-m", "seed=0,1")
    assert code == 1
    assert streams.err.count(": ZeroDivisionError: ") == 2
