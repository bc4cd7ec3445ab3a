"""The measurement of large catalogues runs, whatever the shipped step size: more steps than an epoch has, too."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "experiments" / "scale" / "measure.py"


@pytest.mark.parametrize("way", ["full cross-entropy", "sampled, dense gradients", "sampled, sparse gradients"])
def test_every_way_is_measured(way):
    words = ["--items", "500", "--users", "40", "--steps", "3", "--way", way]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1].removeprefix("RESULT "))
    assert (result["items"], result["steps"]) == (500, 3)
    assert all(math.isfinite(result[key]) and result[key] > 0 for key in ("ms_per_target", "ms_per_user"))


def test_a_run_that_is_killed_ends_with_the_store_of_one_that_is_not(tmp_path):
    """SIGKILL at random moments, of which the engine's bill says what was asked twice."""
    program = SCRIPT.with_name("kills.py")
    words = ["--kills", "2", "--out", str(tmp_path / "kills.json")]
    done = subprocess.run([sys.executable, program, *words], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "kills.json").read_text())
    assert result["kills"] == 2
    assert result["same_store"]
    assert result["same_profiles"]
    assert result["asked_twice"] <= result["asked_twice_at_most"]
    assert result["generations"] > 300
