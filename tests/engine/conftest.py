"""The command on a small catalogue."""

from __future__ import annotations

import signal
import sys

import pytest
from helper.command import write_eight
from helper.composition import remember

from pte import run


@pytest.fixture(autouse=True)
def _compositions(monkeypatch):
    remember(monkeypatch)


@pytest.fixture
def pte(tmp_path, monkeypatch, capfd):
    """The command, in this process: `pte(*words)` gives exit status and both streams."""
    own = [*write_eight(tmp_path), "logger=none"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pte.engine.sweep.Sweep.folder", None)  # of a sweep that was typed before
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["pte", *own, *words])
        with pytest.raises(SystemExit) as left:
            run.main()
        return left.value.code, capfd.readouterr()

    yield command
    for number, handler in before.items():
        signal.signal(number, handler)
