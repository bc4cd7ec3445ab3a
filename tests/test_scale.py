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
