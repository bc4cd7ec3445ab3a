"""Processes that were started together run as one job: the first one's orders are followed, and all end alike."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pte.engine.process import join

STAGE = """
import json, os
READS = ()

def run(context):
    import torch.distributed as dist
    dist.init_process_group("gloo")
    act = json.loads((context.work / "act.json").read_text())
    if act.get("raise") == int(os.environ["RANK"]):
        raise ValueError("the reason")
    here = [None] * dist.get_world_size()
    dist.all_gather_object(here, int(os.environ["RANK"]))
    dist.destroy_process_group()
    with (context.work / f"seen{os.environ['RANK']}").open("a") as file:
        file.write(f"{here}\\n")
"""
JOB = """
import os, sys
from pathlib import Path
from pte.engine.process import join, launch
from pte.engine.process.device import process_count
from pte.schema.context import Context

together, work, code = join.enter(), Path(sys.argv[1]), 0
assert "WORLD_SIZE" not in os.environ
if together.rank:
    code = together.serve(launch.follow)
else:
    try:
        for _ in range(2):
            context = Context({}, {}, work, work, None, [])
            launch.launch("acting", context, {}, process_count({}), work / "log", os.open(work, os.O_RDONLY))
    except Exception as error:
        print(error)
        code = 3
together.leave(code)
sys.exit(code)
"""


def started(tmp_path, **act):
    """Two jobs that srun starts on a machine each, until they have ended: exit statuses, and what the first says."""
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "acting.py").write_text(STAGE)
    (tmp_path / "sitecustomize.py").write_text(
        f"import pte.stage\npte.stage.__path__.append({str(tmp_path / 'stage')!r})\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    (work / "act.json").write_text(json.dumps(act))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")])
    slurm = {
        "PYTHONPATH": path, "SLURM_JOB_ID": "71234", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0",
        "SLURM_STEP_NODELIST": "node[1-2]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    ranks = [{**os.environ, **slurm, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)} for rank in (0, 1)]
    jobs = [
        subprocess.Popen([sys.executable, "-c", JOB, str(work)], env=environ, stdout=subprocess.PIPE, text=True)
        for environ in ranks
    ]
    try:
        output = [job.communicate(timeout=120)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    return [job.returncode for job in jobs], output[0], work


@pytest.mark.slow
def test_two_orders_are_followed_by_both(tmp_path):
    codes, _, work = started(tmp_path)
    assert codes == [0, 0]
    assert [(work / f"seen{rank}").read_text() for rank in (0, 1)] == ["[0, 1]\n[0, 1]\n"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_is_named_and_ends_all(tmp_path, rank):
    codes, output, _ = started(tmp_path, **{"raise": rank})
    assert codes == [3, 3]
    assert f"acting failed in process {rank} of 2: ValueError: the reason" in output


def test_a_task_of_srun_by_hand():
    task = {
        "SLURM_JOB_ID": "9871234", "SLURM_STEP_NUM_TASKS": "6", "SLURM_PROCID": "4", "SLURM_LOCALID": "1",
        "SLURM_NODEID": "2", "SLURM_STEP_NODELIST": "gpu[03-05],other7", "SLURM_STEP_TASKS_PER_NODE": "2(x3)",
    }  # fmt: skip
    assert join.of_slurm(task) == {
        "RANK": "4", "WORLD_SIZE": "6", "LOCAL_RANK": "1", "GROUP_RANK": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "gpu03", "MASTER_PORT": "16234", "TORCHELASTIC_RESTART_COUNT": "0",
    }  # fmt: skip
    assert join.of_slurm({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}) is None  # sbatch's own script
