"""What a sweep tells of its jobs, and trials that end early."""

import io
import json
import re

import pytest
from rich.console import Console

from pte.engine import pruning, sweep

MONITOR = "masked/all/NDCG@10"


def job(folder, value):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({f"valid/{MONITOR}": value, f"test/{MONITOR}": value / 2}))
    return folder


def test_a_job_is_reported_with_the_best_so_far(tmp_path):
    first = job(tmp_path / "0", 0.25)
    assert sweep.standing(tmp_path, first, MONITOR) == (
        "job 0: validation NDCG@10 0.2500; best of 1 so far 0.2500, this one"
    )
    third = job(tmp_path / "sasrec_id" / "2", 0.125)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "metrics.json").write_text("{")  # being written
    assert sweep.standing(tmp_path, third, MONITOR) == (
        "job sasrec_id/2: validation NDCG@10 0.1250; best of 2 so far 0.2500, job 0"
    )


def test_the_last_table_has_the_best_first_and_bold(tmp_path):
    for name, value in (("0", 0.25), ("1", 0.5), ("2", 0.125)):
        job(tmp_path / name, value)
    console = Console(width=80, force_terminal=True, color_system="standard", file=io.StringIO())
    console.print(sweep.table(sweep.figures(tmp_path, MONITOR), MONITOR))
    lines = [line for line in console.file.getvalue().splitlines() if "0." in line]
    assert [re.findall(r"(?<![\d;])\d(?:\.\d{4})?(?![\dm;])", line)[0] for line in lines] == ["1", "0", "2"]
    assert "0.5000" in lines[0]
    assert "0.2500" in lines[0]
    assert ["\x1b[1m" in line for line in lines] == [True, False, False]


@pytest.fixture
def study(tmp_path):
    optuna = pytest.importorskip("optuna")
    try:
        made = optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db", direction="maximize")
    except (AssertionError, ImportError):
        pytest.skip("this SQLAlchemy is too new for Optuna 2")
    space = {"optimizer.lr": optuna.distributions.UniformDistribution(0, 1)}
    for best in (0.1, 0.2, 0.3, 0.4, 0.5):
        trial = made.ask(space)
        for epoch in range(6):
            trial.report(best + epoch / 100, epoch)
        made.tell(trial, best)
    return made, space, {"storage": f"sqlite:///{tmp_path}/study.db", "study_name": "s"}


def test_a_trial_below_the_median_ends_and_one_above_goes_on(study):
    optuna = pytest.importorskip("optuna")
    made, space, sweeper = study
    for curve, ends in ((0.05, True), (0.9, False)):
        trial = made.ask(space)
        words = ["backbone=sasrec", f"optimizer.lr={trial.params['optimizer.lr']}"]
        pruner = pruning.of_job(sweeper, words, MONITOR)
        pruner.log_metrics({"train/loss": 1.0}, step=0)  # no validation: nothing to report
        for _ in range(pruning.WARMUP):
            pruner.log_metrics({f"valid/{MONITOR}": curve}, step=1)
        if ends:
            with pytest.raises(pruning.PrunedError, match="pruned after 4 validations"):
                pruner.log_metrics({f"valid/{MONITOR}": curve}, step=2)
        else:
            pruner.log_metrics({f"valid/{MONITOR}": curve}, step=2)
        last = optuna.load_study(study_name="s", storage=sweeper["storage"]).trials[-1]
        assert last.intermediate_values == dict.fromkeys(range(4), curve)
        made.tell(trial, curve)


def test_a_job_of_no_trial_is_not_pruned(study):
    made, space, sweeper = study
    made.ask(space)
    assert pruning.of_job(sweeper, ["optimizer.lr=7"], MONITOR) is None
    assert pruning.of_job({}, [], MONITOR) is None
