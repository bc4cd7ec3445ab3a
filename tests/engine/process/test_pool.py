"""Jobs that run at once hold disjoint GPUs, wait for their turn, and give them back however they end."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pte.engine.process import pool

JOB = """
import os, sys
from pathlib import Path
from pte.engine.process import pool
pool.reserve({"accelerator": sys.argv[2], "devices": eval(sys.argv[3])}, Path(sys.argv[1]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@contextmanager
def job(place, devices, accelerator="auto", visible="0,1,2,3"):
    """A process that reserves and then waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", JOB, str(place), accelerator, repr(devices)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("typed", "names"), [("0, 1", ["0", "1"]), ("2,-1,3", ["2"]), ("", []), ("GPU-a,MIG-b/1", ["GPU-a", "MIG-b/1"])]
)
def test_gpus_are_those_that_cuda_reads_off(monkeypatch, typed, names):
    monkeypatch.setenv(pool.VISIBLE, typed)
    assert pool.visible() == names


def test_gpus_are_numbered_as_cuda_numbers_them_whatever_their_files_are_called(monkeypatch):
    monkeypatch.delenv(pool.VISIBLE, raising=False)
    monkeypatch.setattr(
        pool.Path, "iterdir", lambda self: iter([pool.Path("/dev/nvidia3"), pool.Path("/dev/nvidiactl")])
    )
    assert pool.visible() == ["0"]


def place_of(process):
    return process.stdout.readline().strip().split(",")


def test_jobs_at_once_hold_disjoint_gpus_and_a_killed_one_gives_them_back(tmp_path):
    with job(tmp_path, 2) as first, job(tmp_path, 1) as second:
        one, other = place_of(first), place_of(second)
        assert (len(one), len(other)) == (2, 1)
        assert not set(one) & set(other)
        with job(tmp_path, 2) as third:  # one is free: not enough, so none is taken
            with job(tmp_path, 1) as fourth:
                last = place_of(fourth)
                assert set(one) | set(other) | set(last) == {"0", "1", "2", "3"}
            first.kill()
            found = place_of(third)
            assert len(found) == 2
            assert not set(found) & set(other)


@pytest.mark.parametrize(
    ("devices", "accelerator", "visible", "left"),
    [("auto", "gpu", "GPU-a,GPU-b", ["GPU-a", "GPU-b"]), (1, "cpu", "0,1", ["0", "1"]), (8, "gpu", "0,1", ["0", "1"]),
     (1, "auto", "", [""])],
)  # fmt: skip
def test_what_a_job_is_left_with(tmp_path, devices, accelerator, visible, left):
    with job(tmp_path, devices, accelerator, visible) as process:
        assert place_of(process) == left
