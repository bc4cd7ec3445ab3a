"""What W&B records offline is what was logged, read back with its own tool, and no secret among it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pte.train.logger import finish, log_summary, log_table, wandb_logger


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished offline run as W&B's reader shows it."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    logger = wandb_logger(project="pte", mode="auto", name="n", save_dir=str(tmp_path), group="sweep")
    logger.log_hyperparams({"seed": 3, "stage_key": {"training": "abc"}})
    for step, loss in ((1, 0.5), (2, 0.25)):
        logger.log_metrics({"train/loss": loss}, step=step)
    log_table([logger], "profiles", ["text", "chosen"], [["a profile", True]])
    log_summary([logger], {"test/masked/all/NDCG@10": 0.0625})
    finish([logger])
    folder = next((tmp_path / "wandb").glob("offline-run-*"))
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--summary", "--json", str(folder)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout), folder


def test_offline_run_holds_config_metrics_and_table(run):
    shown, folder = run
    assert shown["config"]["seed"] == 3
    assert shown["config"]["stage_key"]["training"] == "abc"
    text = json.dumps(shown)
    assert "0.0625" in text
    assert "train/loss" in text
    table = json.loads(next(folder.rglob("*.table.json")).read_text())
    assert table["data"] == [["a profile", True]]


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"logger\.wandb\.mode=onlin"):
        wandb_logger(project="pte", mode="onlin", name=None, save_dir=str(tmp_path), group=None)
