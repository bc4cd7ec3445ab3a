"""Finding, reading and refusing run folders."""

import json

import numpy as np
import pytest
from helper.report import part_of, write_run

from pte.metric.summary import MISS
from pte.report import runs
from pte.schema import InputError

EIGHT = [0, 1, 2, 3, 9, 10, 60, 4]


def refused(path, match):
    with pytest.raises(InputError, match=match) as refusal:
        runs.read(path)
    assert str(path) in str(refusal.value)  # by name


def test_a_run_as_read(tmp_path):
    tied = np.arange(8) < 2
    run = runs.read(write_run(tmp_path / "a", part_of(EIGHT, tied=tied), text=True, seed=3))
    assert (run.seed, run.reads_text, run.command) == (3, True, "python -m pte.run seed=3")
    assert (run.option("backbone"), run.kind("backbone")) == ("sasrec", "SASRec")
    assert run.total("wall_seconds") == 2 + 1 + 20 + 3 + 30
    assert run.suffix == {"masked": "", "unmasked": ""}
    test = run.parts["test"]
    assert test.rank["masked"].tolist() == EIGHT
    assert list(test.group) == ["all", "untied", "head_items", "tail_items", "head_users", "tail_users"]
    assert test.group["untied"].sum() == 6
    assert test.group["head_items"].tolist() == [True] * 4 + [False] * 4
    assert test.train_count is None
    assert run.curve == {}


def test_without_ties_there_is_no_group_of_untied(tmp_path):
    assert "untied" not in runs.read(write_run(tmp_path / "a", EIGHT)).parts["test"].group


def test_folders_of_runs_in_their_order(tmp_path):
    for number in (10, 9, 0):
        write_run(tmp_path / "sweep" / str(number), EIGHT)
    (tmp_path / "sweep" / "11").mkdir()
    (tmp_path / "sweep" / "11" / "run.log").touch()
    one = write_run(tmp_path / "one", EIGHT)
    found, notes = runs.find([tmp_path / "sweep", one, one, tmp_path / "sweep" / "9"])
    assert [note.partition(" was named twice")[0] for note in notes] == [str(one), f"{tmp_path}/sweep/9"]
    assert [path.name for path in found] == ["0", "9", "10", "one"]
    assert [note.partition(":")[0] for note in runs.unfinished([tmp_path / "sweep"])] == [f"{tmp_path}/sweep/11"]


@pytest.mark.parametrize(("name", "value"), [("metrics", []), ("metrics", {"test/masked/all/n": None}), ("stages", 5)])
def test_a_report_of_other_kinds_is_refused(tmp_path, name, value):
    path = write_run(tmp_path / "a", EIGHT)
    report = json.loads((path / "report.json").read_text())
    (path / "report.json").write_text(json.dumps({**report, name: value}))
    refused(path, "run its command again|not a number")


@pytest.mark.parametrize("record", [{"keys": [1]}, {"keys": 5}, [1], 5])
def test_damaged_keys_hide_no_run(tmp_path, record):
    path = write_run(tmp_path / "a", EIGHT)
    (path / "keys.json").write_text(json.dumps(record))
    assert runs.read(path).seed == 0


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        runs.find([tmp_path / "missing"])
    with pytest.raises(InputError, match=r"no report\.json"):
        runs.find([tmp_path])


def test_a_curve_with_gaps(tmp_path):
    path = write_run(tmp_path / "a", EIGHT)
    (path / "curve.csv").write_text("epoch,valid/masked/all/NDCG@10\n0,0.25\n1,\n")
    curve = runs.read(path).curve["valid/masked/all/NDCG@10"]
    assert curve[0] == 0.25
    assert np.isnan(curve[1])


@pytest.mark.parametrize(
    ("metrics", "word"),
    [
        ({"test/masked/all/MRR@20": 0.1}, "falls from @10 to @20"),
        ({"test/masked/all/MRR@50": 0.99}, "MRR@50 exceeds NDCG@50"),
        ({"test/masked/all/NDCG@10": float("nan")}, "is nan"),
        ({"valid/unmasked/tail_items/Hit@50": 0.76}, r"metrics\.json says .* = 0\.76, ranks\.npz says 0\.75"),
        ({"test/masked/all/n": 9}, r"ranks\.npz says 8"),
        ({"test/masked/all/NDCG@10|100neg": 0.5}, r"named both '' and '\|100neg'"),
    ],
)
def test_impossible_figures_are_refused(tmp_path, metrics, word):
    refused(write_run(tmp_path / "a", EIGHT, metrics=metrics), word)


def test_float32_metrics_are_accepted(tmp_path):
    path = write_run(tmp_path / "a", EIGHT)
    report = json.loads((path / "report.json").read_text())
    report["metrics"] = {key: float(np.float32(value)) for key, value in report["metrics"].items()}
    (path / "report.json").write_text(json.dumps(report))
    runs.read(path)


def test_impossible_ranks_are_refused(tmp_path):
    refused(write_run(tmp_path / "a", part_of([5, 1], [4, 1])), "rise when seen items are left out")
    runs.read(write_run(tmp_path / "missed", part_of([MISS, 1], [4, 1])))  # a repeated target leaves with its rivals
    path = write_run(tmp_path / "b", [0, 1])
    arrays = dict(np.load(path / "ranks.npz"))
    np.savez(path / "ranks.npz", **{**arrays, "test_masked": np.array([-1, 1])})
    refused(path, "below 0")


def test_damaged_folders_are_refused(tmp_path):
    path = write_run(tmp_path / "a", EIGHT)
    (path / "ranks.npz").write_bytes(b"PK\x03\x04 cut off")
    refused(path, r"ranks\.npz cannot be read")
    np.savez(path / "ranks.npz", test_user=np.arange(8))
    refused(path, "no array valid_user")
    (path / "report.json").write_text("{}")
    refused(path, "lacks card")
    (path / "report.json").write_text('{"command"')
    refused(path, "cannot be read")


def test_sampled_ranks_have_a_name_of_their_own(tmp_path):
    path = write_run(tmp_path / "a", {**part_of(EIGHT), "sampled": np.zeros(8, int)})
    assert runs.read(path).suffix == {"masked": "", "unmasked": "", "sampled": "|100neg"}
