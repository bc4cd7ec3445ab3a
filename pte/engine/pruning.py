"""Trials of a stored Optuna study that end early: those whose validation curve lies below the median of earlier ones.

Hydra's Optuna sweeper hands a job numbers only, neither its trial nor a pruner. The job therefore looks its trial up in
the study, by number of the running trial with its parameters, and reports to it what its loggers are given after each
validation, which a group of processes relays to it. A pruned trial raises, which ends its group too: it leaves no
artefact, so a later run of that configuration goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

STARTUP_TRIALS, WARMUP = 5, 3  # finished trials, and validations of this one, before any is pruned. Optuna: 5, 0
logger = logging.getLogger(__name__)


class PrunedError(Exception):
    """This trial ends here."""


class Pruner:
    """A logger that passes the monitored validation figure on to the job's trial, and ends it where that pays."""

    def __init__(self, trial: Any, monitor: str) -> None:
        self.trial, self.name, self.count = trial, f"valid/{monitor}", 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if (value := metrics.get(self.name)) is None:
            return
        self.trial.report(value, self.count)
        self.count += 1
        if self.trial.should_prune():
            raise PrunedError(
                f"pruned after {self.count} validations: {self.name} {value:.4f} is below the median of others"
            )


def of_job(sweeper: Mapping[str, Any], words: Sequence[str], monitor: str) -> Pruner | None:
    """The pruner of the job with these overrides; None where its sweeper keeps no study."""
    storage, study_name = sweeper.get("storage"), sweeper.get("study_name")
    if not storage or not study_name:
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    median = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP)
    study = optuna.load_study(study_name=study_name, storage=storage, pruner=median)
    overrides = dict(word.split("=", 1) for word in words if "=" in word)
    running = [t for t in study.get_trials(deepcopy=False) if t.state is optuna.trial.TrialState.RUNNING]
    for candidate in reversed(running):  # the newest: an older one with the same parameters was killed
        if candidate.params and all(overrides.get(name) == str(value) for name, value in candidate.params.items()):
            return Pruner(optuna.trial.Trial(study, candidate._trial_id), monitor)
    logger.info("note: this job's trial is not in the study, so it is not pruned")
    return None
