"""`pte list` and `pte clean` on a store written by hand: what is shown, what may go, what stays."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from pte.artifact import Store
from pte.engine.run_folder import save_keys
from pte.report.store import clean, list
from pte.schema import InputError

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def publish(store, stage, key, size=10):
    with store.publish(stage, key, {}) as out:
        (out / "data").write_bytes(b"x" * size)


def report(folder, value):
    words = ["python", "-m", "pte.run", "backbone=markov", "seed=3"]
    (folder / "report.json").write_text(json.dumps({"command": words, "metrics": {list.HEADLINE: value}}))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A finished run of split A and training B, a stopped run of training C; a split D that no run names."""
    monkeypatch.chdir(tmp_path)
    made = Store(tmp_path / "outputs" / "store")
    for stage, key in (("split", A), ("training", B), ("split", D)):
        publish(made, stage, key)
    done, stopped = tmp_path / "outputs" / "run" / "done", tmp_path / "elsewhere"
    done.mkdir(parents=True)
    stopped.mkdir()
    save_keys(made.root, {"split": A, "training": B}, done)
    save_keys(made.root, {"split": A, "training": C}, stopped)  # known by the store's register alone
    report(done, 0.25)
    (stopped / "run.log").write_text("05:00:00 a line\n05:00:01 ERROR: no disk\n")
    return made


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def half_made(store, key, process):
    folder = store.root / "training" / f".{key[:16]}.{process}.0123abcd"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"half")
    return folder


def work(store, stage, key):
    folder = store.root / "work" / stage / key[:16]
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"state")
    return folder


@pytest.mark.parametrize("words", [[], ["outputs"], ["paths.outputs=outputs"]])
def test_runs_and_artefacts_are_listed(store, capsys, words):
    list.main(words)
    shown = capsys.readouterr().out
    assert ".2500" in next(line for line in shown.splitlines() if "run/done: pte backbone=markov seed=3" in line)
    assert "no end" in next(line for line in shown.splitlines() if "elsewhere: " in line)
    assert "ERROR: no disk" in shown
    rows = {tuple(line.split()[:2]): line for line in shown.splitlines() if line.startswith(("split ", "training "))}
    assert rows["split", A[:16]].endswith("2 runs")
    assert rows["training", B[:16]].endswith("1 run")
    assert rows["split", D[:16]].endswith("no run")


def test_nothing_goes_without_yes_and_what_is_used_or_shared_never(store, capsys):
    gone = [half_made(store, B, dead()), work(store, "training", B), store.path("split", D)]
    broken = store.path("metrics", A)
    broken.mkdir(parents=True)  # in an artefact's place, without a manifest
    whole = [store.path("split", A), store.path("training", B), work(store, "training", C)]
    for name in ("generation", "vector"):  # serve all runs
        (shared := store.root / "work" / name / A[:16]).mkdir(parents=True)
        whole.append(shared)
    clean.main([])
    shown = capsys.readouterr().out
    assert "4 folders" in shown
    assert "--yes" in shown
    assert all(path.exists() for path in [*gone, broken, *whole])
    clean.main(["--yes"])
    assert not any(path.exists() for path in [*gone, broken])
    assert all(path.exists() for path in whole)
    assert "--interrupted" in capsys.readouterr().out
    clean.main(["--yes", "--interrupted"])
    assert [path for path in whole if not path.exists()] == [whole[2]]
    assert not scratch(store)


def scratch(store):
    return [*store.root.glob("*/.*")]


def test_what_a_process_is_at_work_on_stays(store, capsys):
    mine = half_made(store, C, os.getpid())
    locked = work(store, "training", D)
    descriptor = os.open(locked, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        clean.main(["--yes", "--interrupted"])
    finally:
        os.close(descriptor)
    assert mine.exists()
    assert locked.exists()
    assert capsys.readouterr().out.count("kept: a process is at work on it") == 2
    clean.main(["--yes"])
    assert not locked.exists()


def test_an_artefact_of_a_deleted_run_is_free(store, tmp_path):
    for file in (tmp_path / "outputs" / "run" / "done").iterdir():
        file.unlink()
    clean.main(["--yes"])
    assert not store.path("training", B).exists()
    assert store.path("split", A).exists()  # the other run's too


def test_a_store_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (list, clean):
        with pytest.raises(InputError, match=r"outputs/store: there is no store.*--store"):
            command.main([])
    assert not any(tmp_path.iterdir())
