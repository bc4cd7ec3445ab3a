"""The Trainer that a configuration asks for, where the environment would have another."""

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
