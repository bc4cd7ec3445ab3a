"""What a run says at its end: which row to quote, what the rows are, what it took, and the way to own data."""

import io
import json

import numpy as np
import pytest
from helper.report import part_of, write_run
from rich.console import Console

from pte.report.run import single


def shown(folder, **change):
    run = write_run(folder, part_of([0, 1, 20, 30], tied=np.array([True, False, False, False])), **change)
    console = Console(file=io.StringIO(), width=100)
    single.show(run, console)
    return console.file.getvalue(), run


def test_the_row_to_quote_is_marked_and_the_rows_explained(tmp_path):
    text, run = shown(tmp_path / "run")
    marked = [line for line in text.splitlines() if "> masked" in line]
    assert len(marked) == 1
    assert " all " in marked[0]
    ndcg = (1 + 1 / np.log2(3)) / 4
    assert f"NDCG@10 of the row with >: {ndcg:.4f}".replace("0.", ".") in text
    for word in ("masked: items of", "unmasked: every", "untied: without", "head: the most popular"):
        assert word in text
    assert "> masked" not in (run / "report.md").read_text()
    seconds = sum(stage["wall_seconds"] for stage in json.loads((run / "report.json").read_text())["stages"].values())
    assert f"{seconds / 60:.1f} minutes, 100 MiB" in text


def test_the_way_to_own_data_stands_under_the_sample(tmp_path):
    assert "dataset=custom" in shown(tmp_path / "a", dataset="MovieLensMini")[0]
    assert "dataset=custom" not in shown(tmp_path / "b", dataset="Toys")[0]


@pytest.mark.parametrize("dataset", ["MovieLensMini", "custom"])
def test_a_run_says_first_what_it_takes_and_which_figure_to_read(dataset):
    text = single.outlook(dataset)
    for word in ("NDCG@10 of the row marked >", "masked: items", "unmasked: every", "untied: without"):
        assert word in text
    assert "profiler=template backbone=markov" in text
    assert ("fetches 179 MB and takes two cores" in text) == (dataset == "MovieLensMini")


def test_without_ties_nothing_is_reported_of_them():
    assert "untied" not in single.legend({"metrics": {"test/masked/all/NDCG@10": 0.5}})


def test_the_run_to_beat_is_the_best_by_validation_of_the_same_question(tmp_path):
    """Ranks of every run's validation part are those of its test part."""
    ranks = {"here": [3] * 4, "best": [0] * 4, "worse": [9] * 4, "elsewhere": [0] * 4}
    store = tmp_path / "store"
    store.mkdir()
    for name, found in ranks.items():
        split = ("6" if name == "elsewhere" else "5") * 64
        run = write_run(tmp_path / "runs" / name, part_of(found), split_key=split)
        keys = json.dumps({"store": str(store), "keys": {"split": split}})
        (run / "keys.json").write_text(keys)
        with (store / "runs.txt").open("a") as file:
            file.write(f"{run}\n")

    def output(name):
        console = Console(file=io.StringIO(), width=300)
        single.show(tmp_path / "runs" / name, console)
        return console.file.getvalue()

    assert (
        "to beat: 1.0000, the best by validation (1.0000 against .4307 here) of 2 other runs of these data and this"
        " protocol: pte seed=0"
    ) in output("here")
    assert "by validation (1.0000) no worse than 2 other runs" in output("best")
    assert "other run" not in output("elsewhere")
