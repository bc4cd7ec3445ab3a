"""Evidence: a table computed again from kept ranks is the same table, figure for figure; the committed ones are."""

import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helper.report import part_of, write_run

from pte.engine import provenance
from pte.metric.summary import MISS
from pte.report import evidence, runs
from pte.report.compare import command
from pte.report.format import plain
from pte.schema import InputError

ROOT = Path(__file__).resolve().parents[2]
CLEAN = "c" * 40
FOLDERS = sorted(file.parent for file in (ROOT / "experiments").glob("*/rows.jsonl"))
RECOMPUTABLE = [folder for folder in FOLDERS if (folder / "ranks.npz").is_file()]
ON_DEMAND = ("*.html", "*.tex", "*.csv")


def two(folder, **more):
    """A method with two seeds and one with text; ranks on both sides of every edge, a target of the history."""
    plain, far = [0, 3, 9, 10, 49, 254, 255, 256], [1, 2, 40_000, 0, 49, 50, 19, 20]
    ids = [
        write_run(folder / f"id{seed}", part_of([MISS, *plain[1:]], unmasked=[seed, *plain[1:]]), seed=seed, **more)
        for seed in (0, 1)
    ]
    text = {"representation": "llm_only.LlmOnly", "text": True}
    return [*ids, write_run(folder / "text", part_of([MISS, *far[1:]], unmasked=far), **text, **more)]


def evidence_of(tmp_path, *options, **more):
    out = tmp_path / "evidence"
    command.main([*map(str, two(tmp_path, **more)), "--evidence", str(out), *options], CLEAN)
    return out


def test_runs_come_back_as_they_were(tmp_path):
    out = evidence_of(tmp_path)
    before = [runs.read(tmp_path / name) for name in ("id0", "id1", "text")]
    after = evidence.read(out)
    for was, now in zip(before, after, strict=True):
        assert now.metrics == pytest.approx({name: was.metrics[name] for name in now.metrics}, abs=1e-12)
        assert (now.seed, now.command, now.option("backbone")) == (was.seed, was.command, was.option("backbone"))
        for part in ("valid", "test"):
            for ranking, rank in was.parts[part].rank.items():
                np.testing.assert_array_equal(np.minimum(now.parts[part].rank[ranking], 255), np.minimum(rank, 255))
            assert (now.parts[part].rank["masked"] == MISS).tolist() == [True, *[False] * 7]


def test_the_table_is_the_one_that_the_runs_make(tmp_path):
    out = evidence_of(tmp_path)
    command.main([*map(str, [tmp_path / n for n in ("id0", "id1", "text")]), "--out", str(tmp_path / "plain")])
    rows = [
        [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
        for folder in (out, tmp_path / "plain")
    ]
    assert rows[0] == rows[1]
    assert {path.name for path in out.iterdir()} == {"README.md", "rows.jsonl", "ranks.npz", "table.md"}


def test_every_rank_counts(tmp_path):
    """One rank changed in the file changes the table."""
    out = evidence_of(tmp_path)
    with np.load(out / "ranks.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    assert arrays["test_masked"].dtype == np.uint8
    arrays["test_masked"][2, 1] = 30
    np.savez(out / "ranks.npz", **arrays)
    assert again(out) != (out / "table.md").read_text()


def test_evidence_and_new_runs_share_a_table(tmp_path):
    out = evidence_of(tmp_path)
    new = write_run(
        tmp_path / "new", part_of([MISS, *[0] * 7], unmasked=[0] * 8), backbone="markov.Markov", commit=None
    )
    command.main([str(out), str(new), "--out", str(tmp_path / "both")])
    assert "| markov |" in (tmp_path / "both" / "table.md").read_text()


@pytest.mark.parametrize("commit", ["abc-dirty", None])
def test_runs_of_uncommitted_code_are_refused(tmp_path, commit):
    with pytest.raises(InputError, match=r"id0: its run was made by .*paths\.store=NEW"):
        evidence_of(tmp_path, commit=commit)
    assert not (tmp_path / "evidence").exists()


def test_a_stage_of_uncommitted_code_is_refused(tmp_path):
    folder = two(tmp_path)[2]
    report = json.loads((folder / "report.json").read_text())
    report["stages"]["embeddings"]["commit"] = "abc-dirty"
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match="its stage embeddings was made by abc-dirty"):
        command.main([str(folder), "--evidence", str(tmp_path / "out")], CLEAN)


@pytest.mark.parametrize("commit", ["abc-dirty", None])
def test_an_uncommitted_tree_is_refused(tmp_path, commit):
    with pytest.raises(InputError, match=r"git status pte conf pyproject\.toml"):
        command.main([*map(str, two(tmp_path)), "--evidence", str(tmp_path / "out")], commit)


def test_a_cut_off_beyond_the_clip_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"NDCG@300.*255"):
        evidence_of(tmp_path, "--metrics", "NDCG@300")


@pytest.mark.parametrize("damage", ["ranks", "rows", "short", "none"])
def test_damaged_evidence_is_refused(tmp_path, damage):
    out = evidence_of(tmp_path)
    match damage:
        case "ranks":
            (out / "ranks.npz").write_bytes(b"no")
        case "rows":
            (out / "rows.jsonl").write_text("{")
        case "short":
            (out / "rows.jsonl").write_text((out / "rows.jsonl").read_text() * 2)
        case "none":
            (out / "ranks.npz").unlink()
    with pytest.raises(InputError, match="ranks were not kept" if damage == "none" else "do not fit or cannot be read"):
        command.main([str(out)])


@pytest.mark.parametrize(("change", "dirty"), [("pte/new.py", True), ("conf/a.yaml", True), ("README.md", False)])
def test_dirty_is_what_decides_a_run(tmp_path, monkeypatch, change, dirty):
    """A new module that git does not know counts, a text does not."""
    (tmp_path / "pte" / "engine").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    for name in ("pte/engine/provenance.py", "conf/a.yaml", "README.md"):
        (tmp_path / name).write_text("old")
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm old"):
        subprocess.run(["git", *shlex.split(words)], cwd=tmp_path, check=True)
    (tmp_path / change).write_text("new")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "pte" / "engine" / "provenance.py"))
    commit = provenance.commit.__wrapped__()
    assert len(commit.removesuffix("-dirty")) == 40
    assert commit.endswith("-dirty") == dirty


def again(folder):
    """table.md of a folder, by the command that its own names."""
    line = next(w for w in (folder / "table.md").read_text().split("`") if w.startswith("pte compare "))
    arguments = command.parser().parse_args(shlex.split(line)[2:])
    return command.table(folder, arguments, line)[0]


def test_the_folder_written_here_computes_again(tmp_path):
    out = evidence_of(tmp_path, "--metrics", "Hit@10", "MRR@5", "--part", "valid", "--against", "sasrec/llm_only")
    assert again(out) == (out / "table.md").read_text()


@pytest.mark.parametrize("folder", RECOMPUTABLE, ids=lambda folder: folder.name)
def test_committed_tables_compute_again(folder):
    assert again(folder) == (folder / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_committed_rows_say_what_made_them(folder):
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows
    for row in rows:
        assert {"command", "commit", "options", "config", "versions", "stages"} <= row.keys()
        assert "metrics" in row or not str(row["commit"]).endswith("-dirty")
    assert not [path.name for kind in ON_DEMAND for path in folder.glob(kind) if not ignored(path)]


def ignored(path):
    return subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f not in RECOMPUTABLE], ids=lambda folder: folder.name)
def test_tables_without_ranks_say_what_their_rows_say(folder):
    """Means over seeds of the rows' figures stand in the table: the one check that is left of them."""
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    text, by_method = (folder / "table.md").read_text(encoding="utf-8"), {}
    for row in rows:
        assert row["ranks"] == "not kept"
        knobs = {name: value for name, value in row["config"].items() if name not in ("seed", "trainer", "logger")}
        by_method.setdefault(json.dumps(knobs, sort_keys=True), []).append(row["metrics"]["test/masked/all/NDCG@10"])
    means = {plain(sum(values) / len(values)) for values in by_method.values()}
    assert len([mean for mean in means if f"| {mean} " in text or f"**{mean}" in text]) >= 0.9 * len(means)
