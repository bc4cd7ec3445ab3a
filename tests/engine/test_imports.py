"""What a command imports, and so the seconds before its first line: no library that its stages do not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helper.command import write_eight

HEAVY = {"lightning", "torchmetrics", "transformers", "sentence_transformers", "wandb", "matplotlib", "plotly"}
COMPILER = {"torch._dynamo", "sympy"}
COMMAND = """
import json, sys
from pte import run
sys.argv[0] = "pte"
try:
    run.main()
finally:
    print(json.dumps([name for name in sys.modules if "." not in name or name.startswith(("pte.", "torch._dynamo"))]))
"""
WORKER = """
import json, sys
import pte.engine.process.worker
from pte.engine.plan import stage_module
stage_module("training")
print(json.dumps(list(sys.modules)))
"""
TRAINING = """
import json, sys
from pte.engine.process.lean import import_lightning
import_lightning()
import pte.stage.training, pte.train.trainer
from lightning_utilities.core.imports import RequirementCache
assert RequirementCache("transformers")  # whoever asks later is told the truth
print(json.dumps(list(sys.modules)))
"""


def modules(code, *words, cwd=None) -> set[str]:
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("words", "none_of"),
    [(["--help"], HEAVY | {"torch", "polars"}),
     (["backbone=markov", "representation=id"], HEAVY | COMPILER),
     (["backbone=sasrec", "representation=id", "plan=true"], HEAVY | COMPILER),
     (["profiler=template", "plan=true"], HEAVY),
     (["profiler=template", "selector=grpo", "plan=true"], HEAVY)],
)  # fmt: skip
def test_a_command_imports_no_library_that_its_stages_do_not_use(tmp_path, words, none_of):
    loaded = modules(COMMAND, *write_eight(tmp_path), "logger=none", *words, cwd=tmp_path)
    assert not loaded & none_of


def test_a_process_of_a_group_imports_what_trains_alone():
    loaded = modules(WORKER)
    assert not {
        name for name in loaded if name.startswith(("pte.encoder", "pte.profiler.loop.closed_loop", "pte.report"))
    }
    assert not loaded & (HEAVY | COMPILER | {"polars"})


def test_lightning_comes_without_what_no_metric_of_ours_needs():
    loaded = modules(TRAINING)
    assert "lightning" in loaded
    assert not loaded & {"transformers", "matplotlib", "scipy.signal"}
