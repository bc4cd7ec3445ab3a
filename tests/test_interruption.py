"""Ctrl-C, or the end of a group, while the libraries are being imported: no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "library", "signum"),
    [("pte.run", "hydra", "SIGINT"), ("pte", "hydra", "SIGINT"),
     ("pte.engine.process.worker", "lightning_utilities", "SIGTERM")],
)  # fmt: skip
def test_an_interruption_of_imports_is_silent(module, library, signum, tmp_path):
    (tmp_path / f"{library}.py").write_text(f"import os, signal\nos.kill(os.getpid(), signal.{signum})\n1 / 0\n")
    (tmp_path / "order.json").write_text(json.dumps({}))
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", module, str(tmp_path / "order.json"), str(os.getpid())]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.Signals[signum], "")
