"""report.html: every figure and text of a run in one file, which asks nobody for anything, in a real browser too."""

import base64
import gzip
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from helper.report import part_of, write_run

from pte.artifact import Store, Stored
from pte.paths import RUN_KEYS
from pte.report.run import explorer
from pte.report.run import page as run_page
from pte.report.run.finished import Finished
from pte.schema import Entities, Generation, InputError, Profiles, Selection

EVIL = "Aliens </script><img src=x onerror=alert(1)>"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def publish(store, stage, write):
    with store.publish(stage, "a" * 64, {}) as out:
        write(out)


@pytest.fixture
def folder(tmp_path, twelve, twelve_split):
    """A finished run with text over the twelve interactions."""
    store = Store(tmp_path / "store")
    titles = [*twelve.items.title]
    titles[5] = EVIL
    data = replace(twelve, items=replace(twelve.items, title=titles))
    texts = [("user", u, f"likes {data.user_id[u]}") for u in range(4)] + [("item", i, titles[i]) for i in range(1, 7)]
    written = [
        Generation(side, n, r, k, "f", 0.0, "", "", f"{text} r{r} k{k}", True)
        for side, n, text in texts for r in range(2) for k in range(2)
    ]  # fmt: skip
    profiles = Profiles.of(written)
    angle = np.radians([0, 0, 10, 80, 85, 170, 20])
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1) * (np.arange(7) > 0)[:, None]
    choice = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 0], np.int16)
    selection = Selection(Entities(4, 6), np.concatenate([np.zeros((4, 2)), vectors[1:]]), choice)

    def choose(out):
        selection.save(out)
        total = np.concatenate([np.zeros((4, 2)), np.arange(14.0).reshape(7, 2)[1:]])
        np.savez(out / "reward.npz", total=total, total_known=np.arange(10) != 6, probability=total)
        (out / "curve.csv").write_text("epoch,step,reward_total,entropy,kl\n0,1,.1,1.3,0\n1,2,.2,1.1,.1\n")

    def measure(out):
        np.save(out / "lists.npy", np.array([[6, 0], [4, 5]]))

    def train(out):
        (out / "curve.csv").write_text("epoch,train/loss,valid/masked/all/NDCG@10\n0,2,.1\n1,1,.2\n")

    stages = {
        "interactions": data.save, "split": twelve_split.save, "profiles": profiles.save,
        "embeddings": lambda out: np.save(out / "metadata.npy", vectors[1:]), "selection": choose, "training": train,
        "metrics": measure,
    }  # fmt: skip
    for stage, write in stages.items():
        publish(store, stage, write)
    part = part_of([0, 20], user=np.array([0, 1]), target=np.array([5, 6]))
    run = write_run(tmp_path / "run", part, text=True)
    keys = dict.fromkeys(stages, "a" * 64)
    report = json.loads((run / "report.json").read_text())
    for stage, facts in report["stages"].items():
        facts["key"] = keys[stage]
    (run / "report.json").write_text(json.dumps(report))
    (run / RUN_KEYS).write_text(json.dumps({"store": str(store.root), "keys": keys}))
    return run


def unpacked(page, identity):
    text = re.search(f'<script type="text/plain" id="{identity}">([^<]*)</script>', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_page_holds_everything_and_reaches_no_host(folder):
    page = run_page.write(folder).read_text()
    assert "<img" not in page  # texts of others are packed, never markup
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', page)
    anchors = re.findall(r'<h2 id="([^"]+)"', page)
    assert anchors == ["metrics", "curves", "selection", "groups-of-cases", "map", "explorer", "data", "run"]
    assert all(f'<a href="#{anchor}">' in page for anchor in anchors)
    assert "python -m pte.run seed=0" in page
    assert page.index('class="cards"') < page.index('id="metrics"')
    assert "<span>NDCG@10</span><strong>.5000</strong>" in page
    figures = {name: json.loads(text) for name, text in re.findall(r'id="([\w-]+)-data">(.*?)</script>', page)}
    assert {"curve-loss", "curve-valid", "grpo-reward", "grpo-entropy", "by-popularity", "map-chosen"} <= set(figures)
    by_popularity = figures["by-popularity"]["data"][0]
    assert by_popularity["x"] == ["0<br>2"]  # neither target occurs in training
    assert by_popularity["error_y"]["array"][0] > by_popularity["y"][0]  # and no bar goes below zero
    assert by_popularity["error_y"]["arrayminus"] == by_popularity["y"]


def test_an_entity_comes_with_its_texts_rewards_and_neighbours(folder):
    page = run_page.write(folder).read_text()
    index, rows = unpacked(page, "index"), unpacked(page, "block-0")
    entity = {tuple(key): row for key, row in zip(index["entities"], rows, strict=True)}
    assert len(entity) == 4 + 6
    assert index["title"][5] == EVIL
    ann, bob, item = entity["user", 0], entity["user", 1], entity["item", 1]
    assert (ann["history"], ann["target"], ann["rank"], ann["list"]) == ([1, 2, 3, 4], 5, 1, [6])
    assert (bob["target"], bob["rank"]) == (6, None)  # rank 20 of six items: a miss
    assert "target" not in entity["user", 3]
    assert item["candidates"] == ["Toy Story r1 k0", "Toy Story r1 k1"]
    assert (item["chosen"], item["earlier"], item["reward"]["total"]) == (1, ["Toy Story r0 k1"], [2.0, 3.0])
    assert entity["item", 3]["reward"] == {"total": [None, None], "probability": [6.0, 7.0]}
    assert item["nearest"] == [2, 6, 3, 4, 5]  # by angle
    assert ann["nearest"] == []  # users without vectors


def test_the_most_frequent_entities_fill_the_page_first(folder):
    found = explorer.Explorer(Finished.read(folder))
    assert found.order[0] == ("user", 0, 5)
    assert [side for side, _, count in found.order if count == 0] == ["item"] * 3  # 4, 5 and 6 are not in training


def test_nearest_by_cosine_against_all_pairs():
    vectors = np.random.default_rng(0).normal(size=(1500, 5))
    vectors[7] = 0
    found = explorer.nearest(vectors, 3)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    for row in (0, 8, 1023, 1024, 1499):
        cosine = unit @ unit[row]
        cosine[[row, 7]] = -9
        assert found[row] == np.argsort(-cosine)[:3].tolist()
    assert found[7] == []


def test_points_are_coloured_by_what_tells_items_apart():
    chart = pytest.importorskip("pte.report.run.chart")
    paths = ["", "Toys > Games > Dice", "Toys > Games", "Toys > Dolls", "Toys > Dolls", "Toys"]
    found = chart.colorings({"categories": paths, "brand": ["", "", "", "", "", ""], "year": ["", *"12345"]})
    assert list(found) == ["categories"]  # years are no classes, no brand is known
    codes, labels = found["categories"]
    assert labels == ["Games", "Dolls", "Dice", "other"]  # all are toys, which tells nothing
    assert codes.tolist() == [0, 0, 1, 1, 3]
    assert chart.colorings({"brand": ["", "Lego", "Lego", "Lego", "Mattel"]}) == {}  # one class left is no choice


def test_maps_offer_their_colours(folder):
    done = Finished.read(folder)
    text = {"genres": ["", "War", "War, Drama", "Drama", "Comedy", "Comedy", ""]}
    data = replace(done.interactions, items=replace(done.interactions.items, text=text))
    done.__dict__["interactions"] = data
    chart = pytest.importorskip("pte.report.run.chart")
    before, after = (json.loads(re.search(r"-data\">(.*?)</script>", text)[1]) for text in chart.item_maps(done))
    for figure in (before, after):
        popular, genres = figure["layout"]["updatemenus"][0]["buttons"]
        assert (popular["label"], genres["label"]) == ("by popularity", "by genres")
        assert genres["args"][0]["marker.color"] == [[0, 0, 1, 2, 2, 8]]
        assert [each["text"] for each in genres["args"][1]["annotations"]] == ["War", "Drama", "Comedy", "other"]


def test_a_lost_artefact_is_refused(folder):
    shutil.rmtree(Stored(folder).path("split"))
    with pytest.raises(InputError, match="its split are not in the store"):
        run_page.write(folder)


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_in_a_browser_tables_sort_figures_draw_and_an_entity_opens(folder, tmp_path):
    page = run_page.write(folder)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser", "--dump-dom"]
    command = [BROWSER, *options, "--virtual-time-budget=20000", f"file://{page}#item-5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    for state in ('data-tables="ready"', 'data-figures="ready"', 'data-entity="item-5"', "dt-search"):
        assert state in done.stdout
    shown = done.stdout.partition('id="entity"')[2]
    assert "&lt;img src=x" in shown
    assert "<img" not in shown


def test_epochs_are_counted_as_the_terminal_counts_them():
    chart = pytest.importorskip("pte.report.run.chart")
    curve = {"epoch": np.array([0, 4]), "a": np.array([0.1, 0.2]), "b": np.array([0.1, np.nan])}
    text = chart.lines(curve, {"a": "NDCG@10 masked", "b": "NDCG@10 unmasked"}, "c", "")
    figure = json.loads(re.search(r"<script[^>]*>(.*?)</script>", text, re.S)[1])
    assert list(base64.b64decode(figure["data"][0]["x"]["bdata"])) == [1, 5]
    assert figure["layout"]["yaxis"]["title"]["text"] == "NDCG@10"
    assert figure["layout"]["xaxis"]["dtick"] == 1  # no half epochs
    many = {"epoch": np.arange(40), "a": np.arange(40.0)}
    assert "dtick" not in chart.lines(many, {"a": "NDCG@10"}, "c", "")
