"""A group of processes: what its first process logs arrives, its failure has a reason, and nobody outlives the run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pte.engine.process import launch
from pte.engine.pruning import PrunedError
from pte.schema import InputError
from pte.schema.context import Context

STAGE = """
import json, logging, os, time
READS = ()

def run(context):
    rank = int(os.environ["RANK"])
    for logger in context.loggers:
        logger.log_metrics({"train/loss": 0.5}, step=7)
    logging.getLogger("pte.stage.acting").info(f"a line of process {rank}")
    act = json.loads((context.work / "act.json").read_text())
    fds = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    held = [os.readlink(fd) for fd in fds if os.path.exists(fd)]
    facts = {"pid": os.getpid(), "world": os.environ["WORLD_SIZE"], "lock": str(context.work) in held}
    (context.work / f"rank{rank}.tmp").write_text(json.dumps(facts))
    (context.work / f"rank{rank}.tmp").rename(context.work / f"rank{rank}.json")
    if act.get("raise") == rank:
        while len(list(context.work.glob("rank*.json"))) < 2:  # the other one's facts are read when it is gone
            time.sleep(0.02)
        raise ValueError("the reason")
    time.sleep(act.get("sleep", 0))
"""
PARENT = """
import signal, sys, os
from pathlib import Path
from pte.engine.process import launch
from pte.schema.context import Context

def leave(signum, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, leave)
work = Path(sys.argv[1])
context = Context({}, {}, work, work, None, [])
launch.launch("acting", context, {}, 2, work / "log", os.open(work, os.O_RDONLY))
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A work folder, and a stage `acting` that every process started from here can import."""
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "acting.py").write_text(STAGE)
    (tmp_path / "sitecustomize.py").write_text(
        f"import pte.stage\npte.stage.__path__.append({str(tmp_path / 'stage')!r})\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), root, os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "act.json").write_text("{}")
    return tmp_path / "work"


def start(work, loggers=(), **act):
    (work / "act.json").write_text(json.dumps(act))
    context = Context({}, {}, work, work, None, loggers)
    launch.launch("acting", context, {}, 2, work / "log", os.open(work, os.O_RDONLY))


def facts(work, rank, seconds=60):
    deadline = time.monotonic() + seconds
    while not (work / f"rank{rank}.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads((work / f"rank{rank}.json").read_text())


def gone(pid, seconds=10):
    """Whether a process has ended, or does so in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # ended, its parent is no more there to be told
            return True
        time.sleep(0.05)
    return False


def test_rows_of_the_first_process_arrive_and_all_hold_the_lock(work, capfd):
    rows = []

    class Logger:
        def log_metrics(self, metrics, step):
            rows.append((metrics, step))

    start(work, [Logger()])
    assert rows == [({"train/loss": 0.5}, 7)]
    assert (work / "log").read_text()[9:] == capfd.readouterr().out == "a line of process 0\n"
    for rank in (0, 1):
        found = facts(work, rank)
        assert found["world"] == "2"
        assert found["lock"], "another group could train in the same folder while this process lives"


def test_a_logger_that_raises_ends_the_group(work):
    """As a pruned trial's does: the run hears of it, whatever the processes were about to do."""

    class Pruner:
        def log_metrics(self, metrics, step):
            raise PrunedError("below the median")

    with pytest.raises(PrunedError, match="below the median"):
        start(work, [Pruner()], sleep=600)
    for rank in (0, 1):
        if (work / f"rank{rank}.json").exists():  # it may have been ended before it wrote
            assert gone(facts(work, rank)["pid"], 0.1)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_reason_of_the_process_that_failed_is_the_groups(work, rank, capfd):
    with pytest.raises(InputError, match=f"acting failed in process {rank} of 2: ValueError: the reason"):
        start(work, **{"raise": rank, "sleep": 600})
    assert gone(facts(work, 1 - rank)["pid"], 0.1)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nobody_outlives_the_run(work, signum):
    (work / "act.json").write_text('{"sleep": 600}')
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(work)], stderr=subprocess.DEVNULL)
    pids = [facts(work, rank)["pid"] for rank in (0, 1)]
    parent.send_signal(signum)
    assert [gone(pid) for pid in pids] == [True, True]
    assert parent.wait(30) != 0


def test_a_killed_process_ends_the_group(work):
    (work / "act.json").write_text('{"sleep": 600}')
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(work)], stderr=subprocess.PIPE, text=True)
    pids = [facts(work, rank)["pid"] for rank in (0, 1)]
    os.kill(pids[1], signal.SIGKILL)
    output = parent.communicate(timeout=30)[1]
    assert "acting failed in process 1 of 2: ended by SIGKILL" in output
    assert gone(pids[0], 0.1)
