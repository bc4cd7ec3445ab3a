"""`pte leaderboard`: what stands on which board, what is averaged, and that the file is what its description says."""

import io
import json
import os
import re
from pathlib import Path

import pytest
from helper.browser import CHROMIUM, browser
from helper.report import write_run
from rich.console import Console

from pte.paths import RUN_KEYS
from pte.report import evidence, runs
from pte.report.leaderboard import board, command, page
from pte.schema import InputError

ROOT = Path(__file__).resolve().parents[3]
NONE, HALF, ALL = [10] * 8, [0] * 4 + [10] * 4, [0] * 8
TEXT = {"text": True, "representation": "alphafuse.AlphaFuse"}


def made(out, *words):
    command.main([*map(str, words), "--out", str(out)])
    return json.loads((out / "leaderboard.json").read_text())


def described(heading):
    """Field names in the table of docs/leaderboard.md that follows a line."""
    text = (ROOT / "docs" / "leaderboard.md").read_text().partition(heading)[2]
    return re.findall(r"^\| `(\w+)` \|", text.partition("\n\n")[2].partition("\n\n")[0], re.MULTILINE)


def test_seeds_are_averaged_and_the_best_comes_first(tmp_path):
    for seed, rank in ((0, NONE), (1, HALF)):
        write_run(tmp_path / "runs" / str(seed), rank, seed=seed)
    write_run(tmp_path / "runs" / "text", ALL, **TEXT)
    (only,) = made(tmp_path / "out", tmp_path / "runs")["boards"]
    first, second = only["rows"]
    assert (first["method"], first["seeds"], first["profiler"]) == ("sasrec · alphafuse", [0], "template")
    assert (second["method"], second["seeds"], second["profiler"]) == ("sasrec · id", [0, 1], None)
    figure = second["figures"]["masked/Hit@10"]
    assert (figure["mean"], figure["by_seed"], figure["interval"]) == (0.25, [0.0, 0.5], "users")
    assert figure["low"] < 0.25 < figure["high"]
    assert first["figures"]["masked/NDCG@10"]["mean"] == 1
    assert (second["seconds"], second["source"], second["hardware"]) == (26, "runs", "CPU")
    assert (only["dataset"]["name"], only["protocol"]["name"], only["cases"]) == ("Eight", "leave_one_out", 8)


def test_a_narrow_terminal_keeps_every_method(tmp_path):
    for place, rank in ((0, NONE), (1, HALF)):
        experts = ["reader", "likeness", "memory", "repeat"][place:]
        write_run(tmp_path / "runs" / str(place), rank, knobs={"backbone": {"experts": experts}})
    (only,) = made(tmp_path / "out", tmp_path / "runs")["boards"]
    for row in only["rows"]:
        row["source"] = "experiments/a_folder_with_quite_a_long_name_indeed"
    out = io.StringIO()
    Console(file=out, width=80).print(command.table(only, ["NDCG@10", "Hit@10"], 80))
    assert "…" not in out.getvalue()
    assert out.getvalue().count("sasrec") == 2


def test_trials_of_a_search_stand_on_no_board(tmp_path, capsys):
    """The best of many by its test figure is chosen by the test."""
    write_run(tmp_path / "runs" / "a", HALF)
    write_run(tmp_path / "runs" / "trial", ALL, **TEXT)
    file = tmp_path / "runs" / "trial" / "report.json"
    report = json.loads(file.read_text())
    report["options"]["experiment"] = "search_alphafuse"
    file.write_text(json.dumps(report))
    whole = made(tmp_path / "out", tmp_path / "runs")
    assert [row["method"] for row in whole["boards"][0]["rows"]] == ["sasrec · id"]
    assert "1 trials of searches" in " ".join(capsys.readouterr().out.split())


def test_other_questions_stand_on_other_boards(tmp_path):
    write_run(tmp_path / "a", HALF)
    write_run(tmp_path / "b", HALF, dataset="Nine")
    write_run(tmp_path / "c", HALF, protocol="cold_start.ColdStart")
    write_run(tmp_path / "d", HALF, knobs={"protocol": {"scoring": "last"}})
    write_run(tmp_path / "e", HALF, knobs={"protocol": {"holdout": 3}}, representation="llm_init.LlmInit", text=True)
    boards = made(tmp_path / "out", tmp_path)["boards"]
    assert [len(each["rows"]) for each in boards] == [1, 2, 1, 1]  # what texts may know asks no other question
    names = [(each["dataset"]["name"], each["protocol"]["name"]) for each in boards]
    assert names == [("Eight", "cold_start"), ("Eight", "leave_one_out"), ("Eight", "leave_one_out"),
                     ("Nine", "leave_one_out")]  # fmt: skip
    assert page.headings(boards) == [
        "Eight, cold_start", "Eight, leave_one_out", "Eight, leave_one_out (scoring last)", "Nine, leave_one_out"
    ]  # fmt: skip


def test_a_knob_that_changes_no_question_opens_no_board(tmp_path):
    """Runs of before a knob was there have none of it; null and what is refused are no other question."""
    write_run(tmp_path / "a", HALF)
    write_run(tmp_path / "b", ALL, knobs={"protocol": {"file": None, "unknown_share": 0}}, seed=1)
    write_run(tmp_path / "c", ALL, knobs={"protocol": {"file": "users.csv", "unknown_share": 0}})
    boards = made(tmp_path / "out", tmp_path)["boards"]
    assert [[row["seeds"] for row in each["rows"]] for each in boards] == [[[0, 1]], [[0]]]


def test_of_repeated_runs_the_newest_counts(tmp_path, capsys):
    old, new = write_run(tmp_path / "old", NONE), write_run(tmp_path / "new", ALL)
    for folder, time in ((old, 1), (new, 2)):
        os.utime(folder / "report.json", (time, time))
    (only,) = made(tmp_path / "out", tmp_path)["boards"]
    assert [row["figures"]["masked/Hit@10"]["mean"] for row in only["rows"]] == [1]
    assert "is the same method and seed, and newer" in capsys.readouterr().out


def test_evidence_is_never_averaged_with_runs(tmp_path):
    run = write_run(tmp_path / "run", HALF)
    write_run(tmp_path / "other", HALF, seed=1)
    evidence.write(tmp_path / "kept", [runs.read(run)])
    (only,) = made(tmp_path / "out", tmp_path)["boards"]
    assert sorted((row["source"] == "runs", tuple(row["seeds"])) for row in only["rows"]) == [
        (False, (0,)),
        (True, (0, 1)),
    ]


def test_a_store_stands_for_the_runs_that_used_it(tmp_path):
    store = tmp_path / "outputs" / "store"
    (store / "metrics").mkdir(parents=True)
    with pytest.raises(InputError, match="no finished run beside it used it"):
        made(tmp_path / "out", store)
    for name, used in (("a", store), ("b", tmp_path / "elsewhere")):
        run = write_run(tmp_path / "outputs" / "run" / name, HALF, seed=int(name == "b"))
        (run / RUN_KEYS).write_text(json.dumps({"store": str(used), "keys": {}}))
    (only,) = made(tmp_path / "out", store)["boards"]
    assert only["rows"][0]["seeds"] == [0]


@pytest.mark.parametrize("words", [["--metrics", "NDCG"], ["--metrics", "NDCG@7"], ["nowhere"]])
def test_mistakes_are_reported_and_nothing_is_written(tmp_path, words):
    write_run(tmp_path / "runs" / "a", HALF)
    with pytest.raises(InputError):
        command.main([str(tmp_path / "runs"), *words, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    out = tmp_path_factory.mktemp("board")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return made(out), (out / "leaderboard.html").read_text()
    finally:
        os.chdir(before)


def test_committed_evidence_makes_the_boards_of_its_tables(committed):
    boards = {(each["dataset"]["name"], each["protocol"]["name"]): each["rows"] for each in committed[0]["boards"]}
    assert {("Toys", "leave_one_out"), ("Toys", "cold_start"), ("Yelp", "leave_one_out")} <= set(boards)
    rows = boards["Toys", "leave_one_out"]
    found = {(row["source"], row["method"]): row for row in rows}
    fused = found["experiments/toys_method", "count_text · llm_only · minilm · mean"]
    assert round(fused["figures"]["masked/NDCG@10"]["mean"], 4) == 0.0842  # table.md
    assert fused["ranks"]
    assert fused["figures"]["masked/NDCG@10"]["interval"] == "users"
    text = found["experiments/toys_leave_one_out", "sasrec · llm_init"]
    assert round(text["figures"]["masked/NDCG@10"]["mean"], 4) == 0.0647
    assert (text["seeds"], text["figures"]["masked/NDCG@10"]["interval"]) == ([0, 1, 2], "seeds")
    assert found["experiments/toys_leave_one_out", "markov"]["parameters"] == 0
    means = [row["figures"]["masked/NDCG@10"]["mean"] for row in rows]
    assert means == sorted(means, reverse=True)


def test_the_file_is_what_its_description_says(committed):
    content = committed[0]
    assert list(content) == described("is one object")
    assert content["version"] == board.VERSION
    for each in content["boards"]:
        assert list(each) == described("Of a board:")
        for row in each["rows"]:
            assert list(row) == described("Of a row:")
            assert all(list(figure) == described("Of a figure:") for figure in row["figures"].values())


def test_the_page_has_every_row_and_reaches_no_host(committed):
    content, text = committed
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', text)
    assert text.count("<tr>") == sum(len(each["rows"]) + 1 for each in content["boards"])
    assert text.count("data-sortable>") == len(content["boards"])


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_a_board_sorts_and_filters_and_fits_a_phone(tmp_path):
    """Figures sort by their value and not by their letters, whatever stands in brackets behind them."""
    ranks = {"apple": HALF, "berry": ALL, "cocoa": NONE, "date": [0, *[10] * 7]}
    for name, test in ranks.items():
        write_run(tmp_path / "runs" / name, test, representation=f"{name}.Fruit")
    (only,) = made(tmp_path / "out", tmp_path / "runs")["boards"]
    names = [row["method"] for row in only["rows"]]
    shown_names = "[...document.querySelectorAll('#board-0 tbody tr')].map((row) => row.cells[1].textContent)"
    with browser(tmp_path / "profile") as shown:
        shown.open((tmp_path / "out" / "leaderboard.html").as_uri())
        shown.until('document.documentElement.dataset.tables === "ready"')
        assert shown.run(shown_names) == names, "as ranked until somebody sorts"
        shown.run("document.querySelectorAll('#board-0 thead th')[3].click()")
        first = shown.run(shown_names)
        shown.run("document.querySelectorAll('#board-0 thead th')[3].click()")
        assert {tuple(first), tuple(shown.run(shown_names))} == {tuple(names), tuple(names[::-1])}
        shown.run("box = document.querySelector('input[type=search]'); box.value = 'cocoa'")
        shown.run("box.dispatchEvent(new Event('input', {bubbles: true}))")
        assert shown.run(shown_names) == ["sasrec · cocoa"]
        before = shown.run("getComputedStyle(document.body).backgroundColor")
        shown.run("theme.click()")
        assert shown.run("getComputedStyle(document.body).backgroundColor") != before
        shown.size(390, 800)
        assert shown.run("document.documentElement.scrollWidth") <= 390
        assert shown.errors == []
        assert [url for url in shown.requests if not url.startswith(("file:", "blob:"))] == []


def test_a_damaged_run_below_is_left_out_and_reported(tmp_path, capsys):
    write_run(tmp_path / "runs" / "a", HALF)
    bad = write_run(tmp_path / "runs" / "b", HALF, seed=1)
    (bad / "report.json").write_text("{")
    (only,) = made(tmp_path / "out", tmp_path / "runs")["boards"]
    assert only["rows"][0]["seeds"] == [0]
    assert "cannot be read" in capsys.readouterr().out
    with pytest.raises(InputError, match="cannot be read"):
        made(tmp_path / "out", bad)
