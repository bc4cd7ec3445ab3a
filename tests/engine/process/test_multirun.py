"""Sweeps: jobs with one and with several processes, jobs at once, and a sweep that is killed and typed again."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from helper.command import write_eight

SHORT = ["representation=id", "trainer=cpu", "trainer.max_epochs=4", "trainer.epoch_steps=2", "trainer.patience=9"]
TINY = [*SHORT, "backbone.layers=1", "backbone.inner=16", "backbone.heads=1", "backbone.fit.width=8"]
SIX = ["-m", "backbone=popularity,markov,sasrec,item_knn,ease,gru4rec", "hydra.sweep.dir=sweep", *SHORT]
KILLED = """
import logging, os, signal
from pte.run import main

class Kill(logging.Handler):  # while the third job trains
    job = epochs = 0

    def emit(self, record):
        self.job += record.getMessage().startswith("run folder")
        self.epochs += self.job == 3 and " epoch " in record.getMessage()
        if self.epochs == 2:
            os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("pte").addHandler(Kill())
main()
"""


def keys(job):
    return {name: stage["key"] for name, stage in json.loads((job / "report.json").read_text())["stages"].items()}


def ranks(job):
    with np.load(job / "ranks.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.slow
def test_the_number_of_processes_may_differ_from_job_to_job(pte, tmp_path):
    words = ["-m", "backbone=sasrec", *TINY]
    code, streams = pte(*words, "trainer.devices=2,1,2", "hydra.sweep.dir=two", "paths.store=store2")
    assert code == 0, streams.err
    code, alone = pte(*words, "trainer.devices=1,2", "hydra.sweep.dir=one", "paths.store=store1")
    assert code == 0, alone.err
    for text, jobs in ((streams.out, 3), (alone.out, 2)):  # the first job trains, the others find what it made
        lines = [line.split() for line in text.splitlines() if line.startswith("training ")]
        assert sum("made" in line for line in lines) == 1
        assert sum(line[2:] == ["found"] for line in lines) == jobs - 1
    trained = [next((tmp_path / store / "training").glob("*/facts.json")) for store in ("store2", "store1")]
    assert [json.loads(file.read_text())["processes"] for file in trained] == [2, 1]
    jobs = [tmp_path / "two" / name for name in "012"] + [tmp_path / "one" / name for name in "01"]
    assert all(keys(job) == keys(jobs[0]) for job in jobs)
    for job in jobs[1:]:
        for name, value in ranks(jobs[0]).items():
            np.testing.assert_array_equal(ranks(job)[name], value, err_msg=f"{job.name} {name}")


@pytest.mark.slow
def test_a_killed_sweep_typed_again_makes_what_is_missing(pte, tmp_path):
    words = [*write_eight(tmp_path), "logger=none", *SIX]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=tmp_path, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    sweep = tmp_path / "sweep"
    assert sorted(file.parent.name for file in sweep.glob("*/metrics.json")) == ["0", "1"]
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "outputs" / "store").glob("*/*/manifest.json")}
    code, streams = pte(*SIX)
    assert code == 0, streams.err
    logs = [text.split("run folder")[-1] for text in ((sweep / name / "run.log").read_text() for name in "012345")]
    assert ["finished before" in log for log in logs] == [True, True, False, False, False, False]
    assert "continuing after epoch" in logs[2]
    assert all("training" in log and " made in " in log for log in logs[2:])
    assert len(list(sweep.glob("*/metrics.json"))) == 6
    assert {file: file.stat().st_mtime_ns for file in before} == before  # nothing that was there is made again
    assert len([*(tmp_path / "outputs" / "store").glob("training/*/manifest.json")]) == 6


@pytest.mark.slow
def test_jobs_at_once_measure_what_they_do_one_by_one(pte, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra sweep: hydra-joblib-launcher")
    words = ["-m", "backbone=sasrec", "seed=0,1", *TINY]
    at_once = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=both", "paths.store=store2"]
    for more in (at_once, ["hydra.sweep.dir=single", "paths.store=store1"]):
        code, streams = pte(*words, *more)
        assert code == 0, streams.err
        for job in "01":
            assert f"job {job}: validation NDCG@10 " in streams.out
    for job in "01":
        both, single = (tmp_path / folder / job for folder in ("both", "single"))
        assert (both / "metrics.json").read_bytes() == (single / "metrics.json").read_bytes()
        assert keys(both) == keys(single)
    assert keys(tmp_path / "both" / "0") != keys(tmp_path / "both" / "1")
