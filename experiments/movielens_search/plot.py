"""A kept study as files to read: `python experiments/movielens_search/plot.py STUDY.DB DEFAULT_RUN`.

Writes trials.csv (what each trial took, its validation and test figure) and history.svg beside this file.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import optuna

HERE = Path(__file__).parent
MONITOR = "masked/all/NDCG@10"


def figures(run: Path) -> tuple[float, float]:
    """Validation and test figure of a finished run."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return metrics[f"valid/{MONITOR}"], metrics[f"test/{MONITOR}"]


def main(database: Path, default: Path) -> None:
    storage = f"sqlite:///{database}"
    (summary,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=summary.study_name, storage=storage).trials
    (sweep,) = database.parent.glob("search_*/*/*")
    values = [figures(sweep / str(trial.number)) for trial in trials]
    if any(trial.value != valid for trial, (valid, _) in zip(trials, values, strict=True)):
        raise SystemExit("the study and the runs' own figures differ")
    valid, test = figures(default)
    with (HERE / "trials.csv").open("w", encoding="utf-8", newline="") as file:
        names = sorted(trials[0].params)
        writer = csv.writer(file)
        writer.writerow(["trial", f"valid/{MONITOR}", f"test/{MONITOR}", *names])
        writer.writerow(["default", valid, test, *[""] * len(names)])
        for trial, pair in zip(trials, values, strict=True):
            writer.writerow([trial.number, *pair, *(trial.params[name] for name in names)])
    plt.rcParams["svg.fonttype"], plt.rcParams["svg.hashsalt"] = "path", "pte"
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    own = [pair[0] for pair in values]
    axes.plot(own, "o", color="#0072B2", label="trial")
    axes.step(range(len(own)), [max(own[: n + 1]) for n in range(len(own))], where="post", label="best so far")
    axes.axhline(valid, color="#555555", linestyle="--", label="default")
    axes.set(xlabel="trial", ylabel="validation NDCG@10", xticks=range(len(own)))
    axes.legend()
    figure.savefig(HERE / "history.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
