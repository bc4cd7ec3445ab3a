"""Sweeps of the whole command over groups of processes: failures are told, kills leave nobody, nothing is redone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helper.command import write_eight

MINE = """
import os
import time
from pathlib import Path

from pte.backbone.markov import Markov
from pte.backbone.sasrec import SASRec


class Breaking(SASRec):
    def loss(self, batch):
        if os.environ.get("RANK") == "1" and Path("break").exists():
            Path("break").unlink()
            raise ValueError("the reason")
        return super().loss(batch)


class Waiting(Markov):
    def fit(self, item, start):
        while Path("wait").exists() and len(list(Path("sweep").glob("*/metrics.json"))) == 2:
            Path("waiting").touch()
            time.sleep(0.05)
        super().fit(item, start)
"""
SMALL = [
    "backbone=sasrec", "representation=id", "backbone.layers=1", "backbone.fit.width=8", "backbone.inner=16",
    "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=2", "trainer.epoch_steps=1", "logger=csv",
]  # fmt: skip


@pytest.fixture
def words(tmp_path):
    """What is typed in a folder of its own tables and classes."""
    (tmp_path / "mine.py").write_text(MINE)
    return ["-m", *write_eight(tmp_path), "trust=[mine]", "hydra.sweep.dir=sweep"]


def command(words, folder):
    return {
        "args": [sys.executable, "-m", "pte.run", *words], "cwd": folder, "text": True,
        "env": {**os.environ, "OMP_NUM_THREADS": "1", "PTE_DATA": ""},
    }  # fmt: skip


def pte(words, folder):
    return subprocess.run(**command(words, folder), capture_output=True, timeout=400, check=False)


def metrics(folder):
    """The figures of every finished job, by its number."""
    files = sorted(folder.glob("sweep/*/metrics.json"))
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def members(folder):
    """Processes that stand in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            found += [process.name] * ((process / "cwd").readlink() == folder)
    return found


@pytest.mark.slow
def test_a_job_of_a_failing_process_is_told_and_any_number_of_devices_agrees(words, tmp_path):
    """Every job trains anew, in a store of its own; the first one fails once."""
    own = ["backbone._target_=mine.Breaking", "trainer.devices=2,1,2", "paths.store='stores/${hydra:job.num}'"]
    (tmp_path / "break").touch()
    first = pte([*words, *SMALL, *own], tmp_path)
    assert first.returncode == 1, first.stderr[-3000:]
    assert "1 job(s) of the sweep failed" in first.stderr
    reason = "training failed in process 1 of 2: ValueError: the reason"
    assert reason in (tmp_path / "sweep" / "0" / "error.txt").read_text()
    assert f"/sweep/0: {reason}" in first.stderr
    assert set(metrics(tmp_path)) == {"1", "2"}
    second = pte([*words, *SMALL, *own], tmp_path)
    assert second.returncode == 0, second.stderr[-3000:]
    assert second.stdout.count("finished before: nothing to do") == 2
    found = metrics(tmp_path)
    assert found["0"] == found["2"]
    assert found["0"] == pytest.approx(found["1"], abs=1e-6)
    for number, processes in (("0", 2), ("1", 1), ("2", 2)):
        (facts,) = (json.loads(f.read_text()) for f in tmp_path.glob(f"stores/{number}/training/*/facts.json"))
        assert facts["processes"] == processes
    assert members(tmp_path) == []


@pytest.mark.slow
def test_a_killed_sweep_of_six_goes_on_with_the_four_that_are_left(words, tmp_path):
    words = [*words, "backbone=markov", "representation=id", "backbone._target_=mine.Waiting", "logger=none",
             "seed=0,1,2,3,4,5"]  # fmt: skip
    (tmp_path / "wait").touch()
    running = subprocess.Popen(**command(words, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (tmp_path / "waiting").exists():  # two have ended, the third is on its way
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    (tmp_path / "wait").unlink()
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("sweep/*/metrics.json")}
    assert [file.parent.name for file in sorted(before)] == ["0", "1"]
    again = pte(words, tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.count("finished before: nothing to do") == 2
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert set(metrics(tmp_path)) == set("012345")
    assert sorted(folder.name for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()) == [*"012345"]


@pytest.mark.slow
def test_jobs_at_once_measure_what_they_measure_one_by_one(words, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for launcher in ("basic", "joblib"):
        own = [f"hydra/launcher={launcher}", f"paths.store={launcher}", f"hydra.sweep.dir={launcher}/sweep"]
        own += ["hydra.launcher.n_jobs=2"] * (launcher == "joblib")
        done = pte([*words, *SMALL, "trainer.devices=1", "seed=0,1", *own], tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (metrics(tmp_path / launcher) for launcher in ("basic", "joblib"))
    assert set(one) == {"0", "1"}
    assert one == two
    assert one["0"] != one["1"]
