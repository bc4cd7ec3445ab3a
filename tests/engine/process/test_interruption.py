"""Ctrl-C in the middle of a command: what was done is kept, and nothing else is said than that."""

import os
import signal

import pytest

from pte.engine import run_folder
from pte.train.state.checkpoint import ResumeCheckpoint

MARKOV = ["backbone=markov", "representation=id", "hydra.run.dir=run"]
TRAINED = ["backbone=sasrec", "representation=id", "trainer.max_epochs=2", "trainer.batch_size=2", "hydra.run.dir=run"]


def sentence_of(err):
    (line,) = [line for line in err.splitlines() if line.strip()]
    return line


def test_the_step_in_flight_is_the_last_and_the_same_command_goes_on_from_there(pte, monkeypatch):
    def press(*arguments):
        begin(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

    begin = ResumeCheckpoint.on_train_batch_start
    with monkeypatch.context() as patch:
        patch.setattr(ResumeCheckpoint, "on_train_batch_start", press)
        code, streams = pte(*TRAINED)
    assert code == 130
    assert sentence_of(streams.err).startswith("Interrupted. Finished stages are kept")
    assert streams.out.splitlines()[-1] == "  leaving after this step"
    assert "continuing after epoch 0, step 1" in pte(*TRAINED)[1].out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_one_ends_the_process_at_once_without_a_word(pte, monkeypatch, number):
    def stop(_):
        os.kill(os.getpid(), number)

    monkeypatch.setattr("pte.dataset.custom.Custom.read", stop)
    code, streams = pte(*MARKOV)
    assert code == 130
    assert sentence_of(streams.err).startswith("Interrupted.")
    assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_run_that_ends_while_its_files_are_copied_leaves_those_of_the_run_before(pte, monkeypatch, tmp_path):
    assert pte(*MARKOV)[0] == 0
    before = (tmp_path / "run" / "metrics.json").read_bytes()

    def half(source, target):
        target.write_bytes(source.read_bytes()[:9])
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder.shutil, "copyfile", half)
    assert pte(*MARKOV)[0] == 130
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".m")]
