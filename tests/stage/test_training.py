"""Training as a stage: it learns, resumes bit by bit, stops when told to, writes nowhere else, and shares its work."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helper.training import CONFIG, ITEMS, KilledError, changed, context, same_ends
from safetensors.torch import load_file

from pte.schema import InputError, Interactions, Split
from pte.stage import training
from pte.train.loader import EvaluationLoader
from pte.train.state.checkpoint import ResumeCheckpoint
from pte.train.state.restore import WEIGHTS, restore


@pytest.fixture(autouse=True)
def _ctrl_c():
    """Ctrl-C as in a terminal: a shell's background jobs start with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_it_learns_and_tells(tmp_path, parents, monkeypatch, capfd, caplog):
    monkeypatch.chdir(tmp_path)
    made = context(tmp_path, parents, changed(trainer={"max_epochs": 12}))
    training.run(made)
    assert sorted(p.name for p in made.out.iterdir()) == ["curve.csv", "facts.json", "weights.safetensors"]
    facts = json.loads((made.out / "facts.json").read_text())
    with (made.out / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(caplog.messages) == facts["epochs"] == 12
    values = [float(row["valid/masked/all/NDCG@10"]) for row in rows]
    assert facts["best"] == max(values)
    assert facts["best_epoch"] == values.index(max(values))
    assert max(values) > 0.9  # a random ranking of 25 items has 0.18
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"]) < 1.1 * np.log(ITEMS)
    assert "epoch  12/12" in caplog.messages[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]  # nothing beside them
    assert capfd.readouterr() == ("", "")  # no chatter


def test_the_best_weights_give_the_best_figure(tmp_path, parents):
    made = context(tmp_path, parents)
    training.run(made)
    interactions, split = Interactions.load(parents["interactions"]), Split.load(parents["split"])
    backbone = restore(made.build, made.out, interactions, None, "cpu")
    from pte.metric.rank import ranks
    from pte.metric.ranking import RankingMetric

    metric = RankingMetric()
    for question in EvaluationLoader(interactions, split.valid, row_length=12):
        metric.update(ranks(backbone.score(question.history), question.target, question.exclusion).masked)
    facts = json.loads((made.out / "facts.json").read_text())
    assert metric.compute()["NDCG@10"].item() == pytest.approx(facts["best"], abs=1e-7)


def test_a_killed_run_resumes_bit_by_bit(tmp_path, parents, caplog, on_line):
    whole = context(tmp_path, parents, work="w1", out="o1")
    training.run(whole)

    def die(line):
        if "epoch   2/" in line:
            raise KilledError

    with on_line(die), pytest.raises(KilledError):
        training.run(context(tmp_path, parents, work="w2", out="o2"))
    caplog.clear()
    resumed = context(tmp_path, parents, work="w2", out="o2")
    training.run(resumed)
    assert "continuing after epoch 1" in caplog.messages[0]
    assert len(caplog.messages) == 1 + 3  # epochs 2, 3 and 4
    same_ends(whole, resumed)


def at_step(monkeypatch, number, act):
    """Call `act` before step `number` of the whole fit, counted from 0; count the steps that are begun."""
    begun = []

    def hook(self, trainer, pl_module, batch, batch_idx):
        begin(self, trainer, pl_module, batch, batch_idx)
        begun.append(step := trainer.fit_loop.epoch_loop.total_batch_idx)
        if step == number:
            act()

    begin = ResumeCheckpoint.on_train_batch_start
    monkeypatch.setattr(ResumeCheckpoint, "on_train_batch_start", hook)
    return begun


@pytest.mark.parametrize("at", [1, 3, 5, 6, 8, 23])  # six steps an epoch, four epochs
def test_a_run_killed_inside_an_epoch_goes_on_at_the_step_where_it_was(tmp_path, parents, monkeypatch, at, caplog):
    monkeypatch.setattr("pte.train.state.checkpoint.SHARE", 1e9)  # the state is kept after every step
    whole = context(tmp_path, parents, work="w1", out="o1")
    training.run(whole)

    def die():
        raise KilledError

    with monkeypatch.context() as patch:
        at_step(patch, at, die)
        with pytest.raises(KilledError):
            training.run(context(tmp_path, parents, work="w2", out="o2"))
    begun = at_step(monkeypatch, None, die)
    caplog.clear()
    resumed = context(tmp_path, parents, work="w2", out="o2")
    training.run(resumed)
    assert begun == list(range(at, 24))
    where = f"  continuing after epoch {at // 6}" + (f", step {at % 6}" if at % 6 else "")
    assert caplog.messages[0] == where
    same_ends(whole, resumed)


def test_ctrl_c_inside_an_epoch_loses_nothing(tmp_path, parents, monkeypatch, caplog):
    """However seldom the state is kept, it is kept after the step in which the signal came."""
    monkeypatch.setattr("pte.train.state.checkpoint.SHARE", 1e-9)
    whole = context(tmp_path, parents, work="w1", out="o1")
    training.run(whole)
    caplog.clear()
    with monkeypatch.context() as patch:
        at_step(patch, 9, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            training.run(context(tmp_path, parents, work="w2", out="o2"))
    assert caplog.messages[-1] == "  leaving after this step"
    begun = at_step(monkeypatch, None, None)
    resumed = context(tmp_path, parents, work="w2", out="o2")
    training.run(resumed)
    assert begun == list(range(10, 24))
    same_ends(whole, resumed)


def test_a_second_ctrl_c_leaves_at_once(tmp_path, parents, monkeypatch):
    def press_twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("still here")

    at_step(monkeypatch, 2, press_twice)
    with pytest.raises(KeyboardInterrupt):
        training.run(context(tmp_path, parents))


def test_a_state_whose_best_weights_are_lost_is_not_resumed(tmp_path, parents, caplog):
    first = context(tmp_path, parents, changed(trainer={"max_epochs": 2}))
    training.run(first)
    (first.work / "best.safetensors").unlink()
    caplog.clear()
    training.run(context(tmp_path, parents))
    assert len(caplog.messages) == 4


def test_a_finished_fit_is_not_repeated(tmp_path, parents, caplog):
    training.run(context(tmp_path, parents))
    caplog.clear()
    training.run(context(tmp_path, parents))
    assert caplog.messages == ["  continuing after epoch 4"]


def test_patience_survives_a_kill(tmp_path, parents, on_line):
    """Nothing can improve with a learning rate of zero: one best epoch, then two stale ones, killed in between."""
    config = changed(trainer={"patience": 2, "max_epochs": 9}, optimizer={"lr": 0.0})

    def die(line):
        if "epoch   2/" in line:
            raise KilledError

    with on_line(die), pytest.raises(KilledError):
        training.run(context(tmp_path, parents, config))
    made = context(tmp_path, parents, config)
    training.run(made)
    assert json.loads((made.out / "facts.json").read_text())["epochs"] == 3


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 half a file"])
def test_a_damaged_checkpoint_counts_as_none(tmp_path, parents, damage):
    made = context(tmp_path, parents)
    (made.work / "last.ckpt").write_bytes(damage)
    training.run(made)
    assert json.loads((made.out / "facts.json").read_text())["resumed"] is False


def test_checkpoints_hold_no_code(tmp_path, parents):
    made = context(tmp_path, parents)
    training.run(made)
    assert torch.load(made.work / "last.ckpt", weights_only=True)["epoch"] == 3


def test_a_seed_decides_everything(tmp_path, parents):
    files = []
    for number, seed in enumerate((0, 0, 1)):
        config = {**CONFIG, "seed": seed}
        made = context(tmp_path, parents, config, work=f"w{number}", out=f"o{number}")
        training.run(made)
        files.append((made.out / WEIGHTS).read_bytes())
    assert files[0] == files[1] != files[2]


def test_ctrl_c_is_ctrl_c(tmp_path, parents, on_line):
    """A real signal in the middle of the fit: KeyboardInterrupt comes out, and the old handler is back."""
    before = signal.getsignal(signal.SIGINT)

    def press(line):
        os.kill(os.getpid(), signal.SIGINT)

    made = context(tmp_path, parents)
    with on_line(press), pytest.raises(KeyboardInterrupt):
        training.run(made)
    assert signal.getsignal(signal.SIGINT) == before
    assert list(made.out.iterdir()) == []


def test_it_runs_outside_the_main_thread(tmp_path, parents):
    done = []
    made = context(tmp_path, parents, changed(trainer={"max_epochs": 1}))
    thread = threading.Thread(target=lambda: done.append(training.run(made)))
    thread.start()
    thread.join()
    assert done == [None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"devices": 2}, "torchrun"),
    ],
)
def test_mistakes_are_named(tmp_path, parents, change, words):
    with pytest.raises(InputError, match=words):
        training.run(context(tmp_path, parents, changed(trainer=change)))


def test_a_fit_leaves_the_matmul_precision_also_where_it_fails(tmp_path, parents, on_line):
    def fail(words):
        raise RuntimeError(words)

    before = torch.get_float32_matmul_precision()
    training.run(context(tmp_path, parents, changed(trainer={"products": "bfloat16"}), work="w1", out="o1"))
    assert torch.get_float32_matmul_precision() == before
    with on_line(fail), pytest.raises(RuntimeError, match="epoch"):
        training.run(context(tmp_path, parents, changed(trainer={"products": "bfloat16"})))
    assert torch.get_float32_matmul_precision() == before


def test_a_counted_backbone_does_without_lightning():
    """Its import takes seconds."""
    command = "import sys, pte.stage.training, pte.stage.metrics; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


WORKER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import helper.training as t
order = json.loads(sys.argv[1])
folders = {k: Path(v) for k, v in order["parents"].items()}
t.training.run(t.context(Path(order["tmp"]), folders, order["config"], work=order["work"], out=order["out"]))
"""


BROKEN = """
class Killed(Exception):
    pass

def die(self, trainer, pl_module, batch, batch_idx):
    if trainer.fit_loop.epoch_loop.total_batch_idx == 8:  # the third step of the second epoch
        raise Killed

import pte.train.state.checkpoint as checkpoint
begin, checkpoint.ResumeCheckpoint.on_train_batch_start = checkpoint.ResumeCheckpoint.on_train_batch_start, die
checkpoint.SHARE = 1e9  # the state is kept after every step
where = Path(order["tmp"]), folders, order["config"]
try:
    t.training.run(t.context(*where, work="broken", out="broken_out"))
except Killed:
    checkpoint.ResumeCheckpoint.on_train_batch_start = begin
    t.training.run(t.context(*where, work="broken", out="broken_out"))
"""


def run_processes(tmp_path, parents, config, world, name, script=WORKER):
    """`world` processes in one gloo group, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    order = {"parents": {k: str(v) for k, v in parents.items()}, "tmp": str(tmp_path), "config": config}
    order |= {"work": f"w{name}", "out": f"o{name}"}
    command = [sys.executable, "-c", script, json.dumps(order), str(Path(__file__).resolve().parents[1])]
    common = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1",
        "LOCAL_WORLD_SIZE": str(world), "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0",
    }  # fmt: skip
    ranks = [{**os.environ, **common, "RANK": str(r), "LOCAL_RANK": str(r)} for r in range(world)]
    group = [subprocess.Popen(command, env=environ) for environ in ranks]
    deadline = time.monotonic() + 300
    assert [process.wait(max(1, deadline - time.monotonic())) for process in group] == [0] * world
    return tmp_path / f"o{name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "batch_size"),
    [(2, 16), (2, 89), (3, 16)],  # 89: the last step of 90 sequences has a single one, for one process
)
def test_several_processes_equal_one(tmp_path, parents, world, batch_size):
    """The same steps are taken, dropout included: gradients are sums over a step, whoever holds which part.

    Sums in another order differ by fp32 rounding (1e-7 relative). Plain SGD, since Adam would blow up the rounding of
    gradients that are zero in truth (a bias of attention's keys has none) to whole steps.
    """
    config = changed(
        trainer={"strategy": "ddp", "devices": world, "batch_size": batch_size},
        optimizer={"_target_": "torch.optim.SGD", "lr": 0.5},
    )
    single = {**config, "trainer": {**config["trainer"], "strategy": "auto", "devices": 1}}
    alone = context(tmp_path, parents, single)
    training.run(alone)
    together = run_processes(tmp_path, parents, config, world, "many")
    one, two = (load_file(out / WEIGHTS) for out in (alone.out, together))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5, msg=name)
    curves = []
    for out in (alone.out, together):
        with (out / "curve.csv").open() as file:
            curves.append([[float(v) for k, v in row.items() if k != "seconds"] for row in csv.DictReader(file)])
    np.testing.assert_allclose(*curves, rtol=2e-3, atol=1e-4)
    assert json.loads((together / "facts.json").read_text())["processes"] == world


@pytest.mark.slow
def test_two_processes_resume_in_the_middle_of_an_epoch(tmp_path, parents):
    """Their weights and the loss they tell are those of an unbroken run, though one of them alone kept the state."""
    config = changed(trainer={"strategy": "ddp", "devices": 2})
    whole = run_processes(tmp_path, parents, config, 2, "whole", WORKER + BROKEN)
    broken = tmp_path / "broken_out"
    assert json.loads((broken / "facts.json").read_text())["resumed"]
    one, two = (load_file(out / WEIGHTS) for out in (whole, broken))
    assert all(torch.equal(one[name], two[name]) for name in one)
    losses = []
    for out in (whole, broken):
        with (out / "curve.csv").open() as file:
            losses.append([float(row["train/loss"]) for row in csv.DictReader(file)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # a sum of means against a mean of sums
