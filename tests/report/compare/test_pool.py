"""Draws of users side by side: every figure is that of all cases, users of several draws are one, gaps are refused."""

import argparse
import json

import numpy as np
import pytest
from helper.report import part_of, write_run

from pte.report import runs
from pte.report.compare import command, pool
from pte.report.compare.comparison import Column
from pte.schema import InputError

RANKS = {0: [0, 1, 2, 3, 9, 10, 60, 4], 1: [5, 0, 0, 99, 3, 2, 1, 7]}
USERS = {0: range(8), 1: range(6, 14)}  # users 6 and 7 are in both draws


def drawn(folder, draw, *, shift=0, **row):
    """A run whose test users are those of a draw."""
    test = part_of([rank + shift for rank in RANKS[draw]], user=np.array(USERS[draw]))
    knobs = {"protocol": {"seed": draw, "shares": [8, 1, 1]}}
    split = str(draw) * 64
    return write_run(folder, test, protocol="cold_start.ColdStart", knobs=knobs, split_key=split, **row)


def both_methods(folder):
    for draw in (1, 0):
        drawn(folder / f"sasrec{draw}", draw)
        drawn(folder / f"markov{draw}", draw, shift=3, backbone="markov.Markov")
    return folder


def options(folder, **values):
    default = {"run": [folder], "where": [], "metrics": ["NDCG@10"], "against": None, "part": "test", "draws": 200}
    return argparse.Namespace(**default | values)


def test_a_pooled_row_is_the_figure_of_all_cases(tmp_path):
    paths, _ = runs.find([both_methods(tmp_path)])
    comparison, notes = command.compared(paths, options(tmp_path))
    assert notes == []
    assert [method.label for method in comparison.methods] == ["markov", "sasrec · id"]
    cell = comparison.row(Column("masked", "NDCG@10", "all"))["sasrec · id"]
    gains = [1 / np.log2(rank + 2) if rank < 10 else 0 for draw in (0, 1) for rank in RANKS[draw]]
    assert cell.mean == pytest.approx(np.mean(gains))
    assert (cell.cases, cell.users) == (16, 14)
    head = comparison.row(Column("masked", "NDCG@10", "head_items"))["sasrec · id"]
    assert head.mean == pytest.approx(np.mean(gains[:4] + gains[8:12]))


def test_a_pooled_run_holds_the_rules_of_a_run(tmp_path):
    both_methods(tmp_path)
    found = [runs.read(path) for path in runs.find([tmp_path])[0]]
    pooled = pool.pool_draws(found)[0]
    assert [pool.draws_of(run) for run in pooled] == [[0, 1], [0, 1]]
    for run in pooled:
        runs.check(run)
        assert run.total("wall_seconds") == 26
        assert run.command == "python -m pte.run seed=0 && python -m pte.run seed=0"


def test_an_unclean_draw_makes_the_pool_unclean(tmp_path):
    found = [runs.read(drawn(tmp_path / str(draw), draw, commit=f"abc{'-dirty' * draw}")) for draw in (0, 1)]
    (pooled,), _ = pool.pool_draws(found)
    assert pooled.report["commit"] == "abc-dirty"
    assert {facts["commit"] for facts in pooled.report["stages"].values()} == {"abc-dirty"}


def test_a_method_without_a_draw_is_refused(tmp_path):
    both_methods(tmp_path)
    found = [runs.read(path) for path in runs.find([tmp_path])[0] if path.name != "markov1"]
    with pytest.raises(InputError, match=r"markov0: its method has no run with protocol.seed=1"):
        pool.pool_draws(found)


def test_draws_of_other_data_are_refused(tmp_path):
    found = [runs.read(drawn(tmp_path / "a", 0)), runs.read(drawn(tmp_path / "b", 1, dataset="Nine"))]
    with pytest.raises(InputError, match="data set"):
        pool.pool_draws(found)


def test_other_knobs_of_the_protocol_are_no_draw(tmp_path):
    found = [runs.read(drawn(tmp_path / "a", 0)), runs.read(drawn(tmp_path / "b", 1))]
    found[1].report["config"]["protocol"]["shares"] = [6, 2, 2]
    with pytest.raises(InputError, match="protocol's knobs"):
        pool.pool_draws(found)


def test_a_seed_that_leaves_the_cases_alone_is_no_draw(tmp_path):
    knobs = [{"protocol": {"seed": seed}} for seed in (0, 1)]
    found = [runs.read(write_run(tmp_path / str(i), RANKS[0], knobs=k)) for i, k in enumerate(knobs)]
    assert pool.pool_draws(found) == (found, [])


def test_the_same_run_twice_counts_once_and_other_ranks_are_refused(tmp_path):
    found = [runs.read(drawn(tmp_path / name, draw)) for name, draw in (("a", 0), ("b", 1), ("c", 1))]
    pooled, notes = pool.pool_draws(found)
    assert len(pooled) == 1
    assert "counted once" in notes[0]
    with pytest.raises(InputError, match="different ranks"):
        pool.pool_draws([*found, runs.read(drawn(tmp_path / "d", 1, shift=1))])


def test_evidence_of_pooled_draws_reads_back_and_mentions_them(tmp_path):
    both_methods(tmp_path / "runs")
    kept = options(tmp_path / "runs", evidence=tmp_path / "kept")
    comparison, _ = command.compared(runs.find(kept.run)[0], kept)
    command.keep(comparison, kept, "abc")
    rows = [json.loads(line) for line in (tmp_path / "kept" / "rows.jsonl").read_text().splitlines()]
    assert [row["config"]["protocol"]["seed"] for row in rows] == [[0, 1], [0, 1]]
    table = (tmp_path / "kept" / "table.md").read_text()
    assert "2 draws of users (protocol.seed 0, 1) are pooled" in table
    assert "16 cases of 14 users" in table
