"""What W&B records offline is what was logged, read back with its own tool, and no secret among it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pte.engine.tracking import Identity, flat_config
from pte.train.curve import log_row
from pte.train.logger import finish, log_figures, log_table, wandb_logger

MONITOR = "masked/all/NDCG@10"


def inspect(folder, *options):
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", *options, "--json", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=[True, False])
def run(tmp_path, monkeypatch, request):
    """The folder of a finished offline run, and whether it succeeded."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    identity = Identity({"backbone": "sasrec", "representation": "id"}, ["seed=3", "paths.store=x"], "sweep")
    logger = wandb_logger(project="pte", mode="auto", save_dir=str(tmp_path), **identity.for_wandb(None))
    logger.log_hyperparams(flat_config({"dataset": {"_target_": "x", "token": "s3cr3t", "k": 5}}, {"dataset": "Toys"}))
    for epoch, step in ((0, 40), (1, 80)):
        log_row([logger], "selection", {"epoch": epoch, "step": step, "kl": 0.125})
    for epoch, step in ((0, 6), (1, 12)):
        log_row([logger], "training", {"epoch": epoch, "step": step, "train/loss": 0.5, f"valid/{MONITOR}": 0.25})
    log_table([logger], "profiles", ["text", "chosen"], [["a profile", True]])
    figures = {f"valid/{MONITOR}": 0.375, f"test/{MONITOR}": 0.0625, "test/masked/tail_items/NDCG@10": 0.5,
               "test/masked/tail_items/Hit@5": 0.75, "test/unmasked/all/Hit@10": 0.875}  # fmt: skip
    log_figures([logger], figures, MONITOR, step=12)
    finish([logger], request.param)
    return next((tmp_path / "wandb").glob("offline-run-*")), request.param


def test_an_offline_run_reads_back(run):
    folder, succeeded = run
    shown = json.loads(inspect(folder, "--summary"))
    assert (shown["state"], shown["exit_code"]) == (("finished", 0) if succeeded else ("failed", 1))
    assert shown["config"] == {"dataset": "Toys", "dataset.k": 5, "dataset.token": "***"}
    assert (shown["name"], shown["tags"]) == ("seed=3", ["seed=3"])
    numbers = {k: v for k, v in shown["summary"].items() if "/" in k}
    assert numbers == {f"valid/{MONITOR}": 0.375, f"test/{MONITOR}": 0.0625, "test/masked/tail_items/NDCG@10": 0.5}
    tables = {file.name.split("_")[0]: json.loads(file.read_text())["data"] for file in folder.rglob("*.table.json")}
    assert tables["profiles"] == [["a profile", True]]
    assert ["test", "unmasked", "all", "Hit@10", 0.875] in tables["figures"]


def test_every_stage_has_an_axis_of_its_own(run):
    records = [json.loads(line) for line in inspect(run[0]).splitlines()]
    text = json.dumps(records)
    axes = {m["glob_name"]: m["step_metric"] for m in _find(records, "glob_name")}
    assert axes["valid/*"] == axes["train/*"] == "training/step"
    assert axes["selection/*"] == "selection/step"
    assert "trainer/global_step" not in text
    assert '"sweep"' in text
    assert '"id/sasrec"' in text
    assert "s3cr3t" not in text


def _find(value, key):
    """Every mapping that has `key`, however deep."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, dict) and key in value else []), *(f for p in parts for f in _find(p, key))]


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"logger\.wandb\.mode=onlin"):
        wandb_logger(project="pte", mode="onlin", save_dir=str(tmp_path))
