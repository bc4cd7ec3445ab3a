"""backbone=fused trained by groups of processes: its experts, its gates and its ranks are those of one process."""

import functools
import json
import os

import numpy as np
import pytest
import torch
from helper.training import ITEMS, walks
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import load_file

from pte.engine.build import builder
from pte.engine.process import launch
from pte.metric.rank import ranks
from pte.paths import CONF_DIR
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Entities, InputError, Selection
from pte.schema.context import Context
from pte.stage import reader, training
from pte.train.loader import EvaluationLoader
from pte.train.state.restore import restore

WORDS = [
    "backbone=fused", "representation=llm_only", "profiler=template", "trainer.accelerator=cpu", "trainer.max_epochs=8",
    "trainer.batch_size=16", "trainer.epoch_steps=1", "trainer.patience=9", "trainer.products=float32",
    "backbone.reader.inner=16", "backbone.reader.layers=1", "backbone.fit.width=8",
    "representation.components=12", "logger=none",
]  # fmt: skip


@pytest.fixture(scope="module")
def config():
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return OmegaConf.to_container(compose("config", WORDS), resolve=True)


@pytest.fixture(scope="module")
def data():
    interactions, _ = walks(users=60)
    vectors = np.random.default_rng(0).normal(size=(60 + ITEMS, 12)).astype(np.float32)
    choice = np.zeros(60 + ITEMS, np.int16)
    return interactions, LeaveOneOut(holdout=30)(interactions), Selection(Entities(60, ITEMS), vectors, choice)


@pytest.fixture(scope="module")
def parents(data, tmp_path_factory):
    folders = {name: tmp_path_factory.mktemp(name) for name in ("interactions", "split", "selection")}
    for value, folder in zip(data, folders.values(), strict=True):
        value.save(folder)
    return folders


def train(folder, config, parents, processes, loggers=()):
    """The reader, in this process or by a group, then the rest; the folder of what was trained."""
    found = dict(parents)
    for module in (reader, training):
        out, work = (folder / module.NAME / name for name in ("out", "work"))
        for each in (out, work):
            each.mkdir(exist_ok=True, parents=True)
        read = {name: config[name] for name in module.READS}
        context = Context(read, found, out, work, builder(config), list(loggers))
        if processes == 1 or module is training:
            module.run(context)
        else:
            lock = os.open(work, os.O_RDONLY)
            launch.launch(module.NAME, context, config, processes, folder / "log", lock)
            os.close(lock)
        found[module.NAME] = out
    return out


@pytest.fixture(scope="module")
def made(config, parents, tmp_path_factory):
    @functools.cache
    def made(processes):
        return train(tmp_path_factory.mktemp("group"), config, parents, processes)

    return made


class Kill:
    """A logger that kills every process of the group with SIGKILL at the end of the second epoch."""

    def __init__(self, group):
        self.group = group

    def log_metrics(self, metrics, step):
        if metrics["training/epoch"] == 1:
            for process in self.group:
                process.kill()
            for process in self.group:
                process.wait()


@pytest.mark.slow
def test_a_killed_group_goes_on_to_the_same_model(made, config, parents, tmp_path, monkeypatch):
    group, start = [], launch._start
    monkeypatch.setattr(launch, "_start", lambda *order: group.append(start(*order)) or group[-1])
    with pytest.raises(InputError, match=r"reader failed in process \d of 2: ended by SIGKILL"):
        train(tmp_path, config, parents, 2, [Kill(group)])
    assert not list((tmp_path / "reader" / "out").iterdir())
    out = train(tmp_path, config, parents, 2)
    facts = json.loads((tmp_path / "reader" / "out" / "facts.json").read_text())
    assert (facts["resumed"], facts["processes"]) == (True, 2)
    assert "continuing after epoch" in (tmp_path / "log").read_text()
    resumed, whole = (load_file(folder / "weights.safetensors") for folder in (out, made(2)))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def ranked(folder, config, data, more=0.0):
    """Ranks of the test targets, their scores raised by a share of the largest of all."""
    interactions, split, selection = data
    backbone = restore(builder(config), folder, interactions, selection, "cpu")
    found = []
    with torch.no_grad():
        for batch in EvaluationLoader(interactions, split.test, row_length=backbone.length):
            score = backbone.score(batch.history)
            score[torch.arange(len(score)), batch.target - 1] += more * score.abs().max()
            found.append(ranks(score, batch.target, batch.exclusion).masked)
    return torch.cat(found)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_a_group_makes_the_same_model(made, config, data, processes):
    alone, group = (json.loads((made(n) / "facts.json").read_text()) for n in (1, processes))
    assert group["processes"] == processes
    assert group["gates"].keys() == alone["gates"].keys() >= {"reader", "likeness", "memory"}
    for name, pair in alone["gates"].items():
        assert group["gates"][name] == pytest.approx(pair, rel=1e-3, abs=1e-3), name
    for name in ("repeat", "gate_rows", "best_epoch", "rows", "parameters"):
        assert group[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-3), name
    one, other = (load_file(made(n) / "weights.safetensors") for n in (1, processes))
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-3, msg=name)
    curves = [(made(n) / "curve.csv").read_text().splitlines() for n in (1, processes)]
    assert [len(curve) for curve in curves] == [9, 9]
    best, worst = (ranked(made(1), config, data, more) for more in (1e-3, -1e-3))
    found = ranked(made(processes), config, data)
    assert ((best <= found) & (found <= worst)).all()
