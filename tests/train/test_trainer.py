"""The Trainer that a configuration asks for, where the environment would have another, and too few cases."""

import pytest

from pte.schema import InputError
from pte.train import check
from pte.train.trainer import make_trainer

KNOBS = {
    "accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32-true", "max_epochs": 1,
    "check_val_every_n_epoch": 1, "gradient_clip": None,
}  # fmt: skip


def test_slurm_variables_of_several_tasks_do_not_make_a_group(monkeypatch, tmp_path):
    """Lightning would take two tasks in a job's environment for two processes, and refuse or wait."""
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "pte", "SLURM_PROCID": "0",
                        "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NODELIST": "n1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert make_trainer(KNOBS, [], tmp_path).world_size == 1


def test_fewer_cases_than_processes_are_refused():
    facts = {"valid_cases": 2, "train_rows": 20, "train_users": 4}
    check.split(facts, trained=True, stacked=False, processes=2, devices=2)
    with pytest.raises(InputError, match="2 validation cases are fewer than processes"):
        check.split(facts, trained=True, stacked=False, processes=3, devices=3)
