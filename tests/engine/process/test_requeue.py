"""SIGUSR1 interrupts, and queues the SLURM job again: the command in a process of its own, scontrol a script."""

import os
import subprocess
import sys

import pytest

NOTICE = """
import os, signal, sys
from pathlib import Path
import pte.run
def wait(*_):
    os.kill(os.getpid(), signal.{name})
    signal.pause()
pte.run.composition.check = wait  # where the command is when the notice comes
sys.argv[1:] = ["plan=true"]
pte.run.main()
"""


@pytest.mark.parametrize(
    ("name", "slurm", "command"),
    [("SIGUSR1", {"SLURM_JOB_ID": "7"}, "requeue 7"),
     ("SIGUSR1", {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "3"}, "requeue 8_3"),
     ("SIGUSR1", {}, None), ("SIGTERM", {"SLURM_JOB_ID": "7"}, None)],
)  # fmt: skip
def test_a_notice_queues_the_job_again(tmp_path, name, slurm, command):
    script = tmp_path / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/commands\n')
    script.chmod(0o755)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")} | slurm
    environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
    code = NOTICE.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "Interrupted" in done.stderr
    note = tmp_path / "commands"
    assert (note.read_text().strip() if note.exists() else None) == command
