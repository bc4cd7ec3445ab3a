"""Two methods' lists side by side: the cases of the page are the runs' own, in their order, in a browser too."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helper.browser import CHROMIUM, browser
from helper.report import part_of, write_run

from pte.artifact import Store
from pte.metric.summary import MISS
from pte.paths import RUN_KEYS
from pte.report import runs
from pte.report.compare import grid, methods, page, side
from pte.report.compare.comparison import Comparison

EVIL = "Aliens </script><img src=x onerror=alert(1)>"


def run_with_lists(folder, rank, lists, data, split, **more):
    """A run folder over the twelve interactions, in whose store are the lists of its two test cases."""
    part = part_of(rank, unmasked=[min(r, 5) for r in rank], user=np.array([0, 1]), target=np.array([5, 6]))
    write_run(folder, part, **more)
    stages = json.loads((folder / "report.json").read_text())["stages"]
    keys = {name: stages[name]["key"] for name in ("interactions", "split", "metrics")}
    store = Store(folder.parent / f"{folder.name}-store")
    for stage, write in (
        ("interactions", data.save), ("split", split.save),
        ("metrics", lambda out: np.save(out / "lists.npy", np.array(lists))),
    ):  # fmt: skip
        with store.publish(stage, keys[stage], {}) as out:
            write(out)
    (folder / RUN_KEYS).write_text(json.dumps({"store": str(store.root), "keys": keys}))
    return folder


@pytest.fixture
def comparison(tmp_path, twelve, twelve_split):
    titles = [*twelve.items.title]
    titles[5] = EVIL
    data = replace(twelve, items=replace(twelve.items, title=titles))
    made = [
        run_with_lists(tmp_path / "a", [0, MISS], [[5, 6], [4, 5]], data, twelve_split),
        run_with_lists(tmp_path / "b", [3, 1], [[6, 4], [0, 0]], data, twelve_split, backbone="markov.Markov"),
    ]
    return Comparison(methods.group([runs.read(path) for path in made])[0], metrics=["NDCG@10"])


def test_cases_are_the_runs_own(comparison):
    found = side.cases({m.label: side.finished(m.runs[0]) for m in comparison.methods})
    assert (found["user"], found["target"]) == (["ann", "bob"], [5, 6])
    assert found["history"][0] == [1, 2, 3, 4]
    first, second = found["methods"]
    assert (first["label"], first["rank"], first["list"]) == ("markov", [4, 2], [[6, 4], []])
    assert (second["label"], second["rank"], second["list"]) == ("sasrec · id", [1, None], [[5, 6], [4, 5]])


def test_a_large_page_keeps_cases_at_even_distances(comparison, monkeypatch):
    monkeypatch.setattr(side, "LIMIT", 1)
    assert side.cases({m.label: side.finished(m.runs[0]) for m in comparison.methods})["user"] == ["ann"]
    assert "1 of 2 cases, at even distances" in "".join(side.elements(comparison))


def test_runs_without_their_artefacts_have_no_such_part(tmp_path):
    rows = [write_run(tmp_path / "a", [0, 1]), write_run(tmp_path / "b", [1, 1], backbone="markov.Markov")]
    made = Comparison(methods.group([runs.read(path) for path in rows])[0], metrics=["NDCG@10"])
    assert side.elements(made) == []
    assert "side by side" not in page.page(made, grid.grids(made), "pte compare", [])


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_cases_are_found_and_reported(comparison, tmp_path):
    file = tmp_path / "table.html"
    file.write_text(page.page(comparison, grid.grids(comparison), "pte compare", []))
    with browser(tmp_path / "profile") as shown:
        shown.open(file.as_uri())
        shown.until('document.documentElement.dataset.side === "ready"')
        assert shown.run('document.getElementById("one-list").children.length') == 2
        item_label = shown.run('document.querySelector("#other-list li").textContent')
        assert item_label == EVIL + "  ← held out"
        assert shown.run('document.querySelectorAll("img").length') == 0
        shown.run('document.getElementById("user").value = "bob"; document.querySelector("#cases button").click()')
        assert shown.run('document.getElementById("case").dataset.user') == "bob"
        script = 'document.getElementById("{}-list").parentElement.dataset.said'
        assert shown.run(script.format("one")) == "held-out item at rank 2"
        assert shown.run(script.format("other")) == "the history holds it: a miss"
        shown.run('document.getElementById("differ").click()')
        assert shown.run('document.getElementById("case").dataset.user') == "ann"
        shown.run('document.getElementById("user").value = "nobody"; document.querySelector("#cases button").click()')
        assert shown.run('document.getElementById("case").textContent') == "nothing found"
        assert shown.run('document.querySelectorAll("#one-list li, #other-list li").length') == 0, "an earlier case's"
        assert shown.errors == []
