"""A file where a folder is asked for, a full disk, and lists of ten on few items: told, or met, by every command."""

from __future__ import annotations

import errno
import os
import sys

import pytest
from helper.command import sentence

from pte import run

MARKOV = ["backbone=markov", "representation=id"]


@pytest.fixture
def finished(pte, monkeypatch, capfd):
    """`finished(*words)`: a command on a finished run."""
    assert pte(*MARKOV, "hydra.run.dir=outputs/run/one")[0] == 0

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["pte", *words])
        with pytest.raises(SystemExit) as left:
            run.main()
        return left.value.code, capfd.readouterr()

    return command


def test_a_file_in_a_folders_place_is_reported_by_every_command(finished):
    for words in (["compare", "outputs/run/one", "--out"], ["compare", "outputs/run/one", "--figures"],
                  ["leaderboard", "outputs", "--out"]):  # fmt: skip
        code, streams = finished(*words, "inter.csv")
        assert code == 2
        assert "inter.csv: " in sentence(streams.err)


@pytest.mark.parametrize(
    "mistake",
    ["paths.outputs=", "paths.outputs=null", "paths.store=null", "paths.store=' '", "hydra.run.dir=",
     "optimizer.lr=null", "optimizer.betas=null", "reward.weights.distinct=null", "seed=0,1",
     "paths.outputs='~nosuchuser/x'", "dataset.interactions='~nosuchuser/x'"],
)  # fmt: skip
def test_nothing_is_no_place_and_no_number(mistake, pte, tmp_path):
    code, streams = pte("backbone=sasrec", "profiler=template", "representation=llm_only", mistake, "plan=true")
    assert code == 2
    assert mistake.partition("=")[0] in sentence(streams.err)
    assert {path.name for path in tmp_path.iterdir()} <= {"inter.csv", "items.csv", "outputs"}


def test_recommendations_are_as_many_as_there_are(finished):
    code, streams = finished("recommend", "outputs/run/one", "--user", "u1")
    assert code == 0
    assert 1 < len(streams.out.splitlines()) < 10
    assert finished("recommend", "outputs/run/one", "--user", "u1", "--count", "10")[0] == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more_is_reported(pte, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number), "store/x")

    monkeypatch.setattr("pte.stage.interactions.run", fail)
    code, streams = pte(*MARKOV)
    assert code == 2
    assert sentence(streams.err).startswith(f"store/x: {os.strerror(number)}")
