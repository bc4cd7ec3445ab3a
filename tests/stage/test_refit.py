"""Texts written anew after a choice: what was chosen stays chosen, and everything that reads vectors reads the new."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import pte
from pte.artifact import Stored, read_manifest
from pte.encoder import source
from pte.engine.inference.recommend import RunModel
from pte.report.inspect import show
from pte.report.run.finished import Finished
from pte.schema import Interactions, Profiles, Selection, Split

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "example"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A choice by a reward among texts that withhold rows, then a model of likeness over the final texts."""
    folder = tmp_path_factory.mktemp("refit") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("outputs", "__pycache__"))
    words = [
        "experiment=mine", "backbone=text_knn", "protocol.withhold=2", "protocol.min_visible=1",
        f"dataset.file={folder}/data/plays.jsonl", f"paths.outputs={folder}/outputs",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(source, "WINDOW", 5)  # texts: the items' come in several parts
        yield pte.run(words, config_dir=folder / "conf")


@pytest.fixture(scope="module")
def stored(result):
    return Stored(result.folder)


def test_final_texts_state_the_rows_that_were_withheld(stored):
    split = Split.load(stored.path("split"))
    assert (split.rest & ~split.visible).any()
    before, after = Profiles.load(stored.path("profiles")).item, Profiles.load(stored.path("refit")).item
    assert len(before) == len(after)
    assert before != after


def test_choice_stays_and_vectors_follow_the_texts(stored):
    first, final = (Selection.load(stored.path(stage)) for stage in ("selection", "refit"))
    assert (first.choice == final.choice).all()
    assert (first.side("user") == final.side("user")).all()
    texts = Profiles.load(stored.path("profiles")).item, Profiles.load(stored.path("refit")).item
    for item in range(1, len(texts[1])):
        row = final.entities.row("item", item)
        same = texts[0][item][final.choice[row]] == texts[1][item][final.choice[row]]
        assert np.allclose(first.vector[row], final.vector[row], atol=1e-6) == same


def test_cut_texts_are_counted_of_its_own(stored):
    assert read_manifest(stored.path("refit"))["facts"]["texts_cut"] == 0


def test_later_readers_take_the_final_texts(stored, result):
    final = Selection.load(stored.path("refit"))
    assert (Finished.read(result.folder).selection.vector == final.vector).all()


def test_what_is_shown_of_an_item_has_its_final_text(stored):
    items, texts = Interactions.load(stored.path("interactions")).items, Profiles.load(stored.path("refit")).item
    shown = "\n".join(show.lines(stored, "item", items.item_id[1]))
    lines = [line.strip() for line in shown.partition("final texts")[2].splitlines()]
    assert set(texts[1][0].splitlines()) <= set(lines)


def test_recommendations_are_those_that_were_measured(stored, result):
    """After the history of a test question the list is the one kept with the ranks."""
    data, split = Interactions.load(stored.path("interactions")), Split.load(stored.path("split"))
    lists = np.load(stored.path("metrics") / "lists.npy")
    begin = split.test.history_begin(data)
    for case, end in enumerate(split.test.target):
        history = data.item[begin[case] : end].tolist()
        count = min(10, data.num_items - len(set(history)))
        assert RunModel(stored, data).best(history, count) == lists[case][:count].tolist()
