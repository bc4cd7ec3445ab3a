"""One run looked into: everything by the data's own ids; what is taken out comes in again."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pte.artifact import Store, Stored
from pte.encoder.imported import ImportedVectors
from pte.engine.run_folder import save_keys
from pte.profiler.imported import ImportedProfiler
from pte.report.inspect import export, show
from pte.schema import Entities, Generation, InputError, Profiles, Selection, visible_view

ENTITIES = [("user", u) for u in range(4)] + [("item", i) for i in range(1, 7)]


@pytest.fixture
def run(tmp_path, twelve, twelve_split):
    """A run folder whose store holds the twelve interactions, two rounds of two candidates, and a choice."""
    generations = [
        Generation(
            s, e, r, k, f"form{k}", 0.5, f"prompt of {s} {e}", "", f"{s} {e} round {r} text {k}",
            (s, e, k) != ("user", 1, 0),
        )
        for s, e in ENTITIES
        for r in (0, 1)
        for k in range(r + 1)
    ]  # fmt: skip
    rows = np.eye(7, 4, dtype=np.float32)[[6, 0, 0, 1, 2, 3, 3]]  # items 1 and 2 alike, 5 and 6 too
    vectors = np.concatenate([np.zeros((4, 4), np.float32), rows[1:]])
    selection = Selection(Entities(4, 6), vectors, np.array([0, 1, -1, 0, 1, 0, 1, 0, 1, 0], np.int16))
    store, keys = Store(tmp_path / "store"), {}
    for stage, value in (
        ("interactions", twelve), ("split", twelve_split), ("profiles", Profiles.of(generations)),
        ("selection", selection),
    ):  # fmt: skip
        keys[stage] = f"{len(keys)}" * 20
        with store.publish(stage, keys[stage], {}) as out:
            value.save(out)
            if stage == "selection":
                total = np.concatenate([np.arange(2 * n).reshape(n, 2)[first:] for first, n in ((0, 4), (1, 7))]) / 10
                known = np.concatenate([np.arange(first, n) > 1 for first, n in ((0, 4), (1, 7))])
                np.savez(out / "reward.npz", total=total, total_known=known)
    folder = tmp_path / "run"
    save_keys(store.root, keys, folder)
    return folder


def shown(run, *options):
    return list(show.lines(Stored(run), *options))


def test_an_item_by_its_title(run):
    """Heat (3): rows of ann (withheld), bob and dee. Users of it in visible rows: bob (2 3), dee (3)."""
    output = shown(run, "item", "heat")
    assert output[:2] == ["item m3 'Heat'", "3 interactions: 2 shown, 1 withheld"]
    assert output[2:4] == ["\nneighbours by shared users", "     1  m2 'GoldenEye'"]
    assert "  item 3 round 0 text 0" in output
    assert "\ncandidate 1 (form1, temperature 0.5)  TAKEN" in output
    assert "  reward total +0.700" in output
    assert output[output.index("\nnearest items by text") + 1].startswith("  0.000")


def test_the_nearest_by_text_are_not_the_item_itself(run):
    output = shown(run, "item", "m1")
    assert output[output.index("\nnearest items by text") + 1] == "  1.000  m2 'GoldenEye'"
    assert not [line for line in output[output.index("\nnearest items by text") :] if "m1" in line]


def test_a_user_with_what_each_row_was_for(run):
    output = shown(run, "user", "ann")
    assert output[1] == "5 interactions: 2 shown, 1 test, 1 valid, 1 withheld"
    assert output[2:7] == [
        "  shown     m1 'Toy Story'", "  shown     m2 'GoldenEye'", "  withheld  m3 'Heat'", "  valid     m4 'Alien'",
        "  test      m5 'Aliens'",
    ]  # fmt: skip
    assert output[8:10] == ["     2  cy", "     1  bob"]
    assert "  reward total +0.000 (unknown)" in output
    assert output[-1].startswith("\nno nearest users by text: this user's text was not encoded")
    assert [line for line in shown(run, "user", "bob") if "a fallback stands in" in line]
    assert "\nno single candidate is taken: the selector mixes or exchanges them" in shown(run, "user", "cy")


def test_a_whole_title_wins_over_a_part_and_many_are_named(run):
    assert shown(run, "item", "Alien")[0] == "item m4 'Alien'"
    with pytest.raises(InputError, match=r"2 items are called ali: .*Alien .id m4.; Aliens .id m5."):
        shown(run, "item", "ali")
    for side, name, words in (
        ("item", "", "no item"),
        ("item", "Up", "no item"),
        ("user", "0", "no user has the id 0"),
    ):
        with pytest.raises(InputError, match=words):
            shown(run, side, name)


def test_prompts_where_requested_and_no_control_characters(run, capsys):
    show.main([str(run), "item", "m1", "--prompts"])
    assert "  | prompt of item 1" in capsys.readouterr().out
    before = Profiles.load(Stored(run).path("profiles")).generations
    with Store(run.parent / "store").publish("profiles", "9" * 20, {}) as out:
        Profiles.of([replace(g, text=f"{g.text} \x1b[2J \u202e") for g in before]).save(out)
    keys = json.loads((run / "keys.json").read_text())
    save_keys(run.parent / "store", {**keys["keys"], "profiles": "9" * 20}, run)
    show.main([str(run), "item", "m1"])
    assert not {"\x1b", "\u202e"} & set(capsys.readouterr().out)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_profiles_go_out_and_come_in_again(run, form, twelve, twelve_split):
    export.main(["profiles", str(run), "--format", form])
    table = pl.read_parquet(run / "profiles.parquet") if form == "parquet" else pl.read_ndjson(run / "profiles.jsonl")
    assert table.columns == ["side", "id", "candidate", "text", "selected"]
    assert table.height == 20
    one = table.filter((pl.col("id") == "m3") & (pl.col("candidate") == 1)).row(0, named=True)
    assert (one["text"], one["selected"]) == ("item 3 round 1 text 1", True)
    assert table.filter(pl.col("id") == "cy")["selected"].to_list() == [None, None]
    if form == "parquet":
        knobs = {"num_candidates": 2, "missing_share": 0, "unknown_share": 0, "titles": 1}
        importer = ImportedProfiler(file=str(run / "profiles.parquet"), **knobs)
        again = importer.rebuild(visible_view(twelve, twelve_split), [])
        before = Profiles.load(Stored(run).path("profiles"))
        assert (again.user, again.item) == (before.user, before.item)


@pytest.mark.parametrize("form", ["npy", "parquet", "jsonl"])
def test_vectors_go_out_and_come_in_again(run, form, tmp_path, capsys):
    export.main(["vectors", str(run), "--format", form, "--out", str(tmp_path / "mine")])
    written = capsys.readouterr().out.split()
    assert all(word.startswith(str(tmp_path / "mine")) for word in written)
    if form == "jsonl":
        assert pl.read_ndjson(written[0])["vector"].to_list()[2] == [0, 1, 0, 0]
        return
    got = ImportedVectors(file=written[0], missing_share=0, unknown_share=0).vectors([f"m{i}" for i in range(1, 7)])
    assert np.array_equal(got, Selection.load(Stored(run).path("selection")).item_table)


def test_rows_of_an_export_that_ended_half_way_lie_beside_no_other_ids(run, tmp_path, monkeypatch):
    (tmp_path / "item.ids.json").write_text('["of another run"]')
    monkeypatch.setattr(export, "write_atomic", lambda *_: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        export.main(["vectors", str(run), "--format", "npy", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.glob("item*")] == ["item.npy"]


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--out", "a/v.jsonl"], "a/v.jsonl"),
        (["--out", "a/v.parquet"], "a/v.parquet"),
        (["--out", "a", "--format", "jsonl"], "a/vectors.jsonl"),
        (["--out", "a.b"], "a.b/vectors.parquet"),
    ],
)
def test_out_is_a_folder_or_a_file(run, tmp_path, monkeypatch, capsys, words, where):
    monkeypatch.chdir(tmp_path)
    export.main(["vectors", str(run), *words])
    assert capsys.readouterr().out.split() == [where]
    assert (tmp_path / where).is_file()


@pytest.mark.parametrize("words", [["--out", "v.npy"], ["--out", "v.jsonl", "--format", "parquet"]])
def test_a_file_of_another_format_is_refused(run, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="names one file"):
        export.main(["vectors", str(run), *words])
    assert not (tmp_path / words[1]).exists()


def test_what_is_not_there_is_reported(run, tmp_path):
    with pytest.raises(InputError, match="npy holds numbers alone"):
        export.main(["profiles", str(run), "--format", "npy"])
    with pytest.raises(InputError, match="no run folder"):
        Stored(tmp_path)
    keys = json.loads((run / "keys.json").read_text())["keys"]
    save_keys(run.parent / "store", {n: keys[n] for n in ("interactions", "split")}, run)
    assert shown(run, "user", "ann")[-1].startswith("\nno profiles")
    with pytest.raises(InputError, match="has no selection"):
        export.main(["vectors", str(run)])
    save_keys(run.parent / "nowhere", keys, run)
    with pytest.raises(InputError, match="not in the store"):
        shown(run, "user", "ann")


def test_a_map_has_every_item_with_its_text_and_place(run, tmp_path, twelve):
    export.main(["atlas", str(run), "--out", str(tmp_path / "out")])
    table = pl.read_parquet(tmp_path / "out" / "atlas.parquet")
    assert table["id"].to_list() == twelve.items.item_id[1:]
    assert {"title", "count", *twelve.items.text} <= set(table.columns)
    assert table["text"][0] == "item 1 round 1 text 1"  # the one chosen
    assert table["count"].to_list() == [2, 3, 3, 0, 0, 0]
    place = table.select("x", "y").to_numpy()
    np.testing.assert_allclose(place[0], place[1], atol=1e-12)  # equal vectors
    assert np.linalg.norm(place[0] - place[2]) > 0.1
    np.testing.assert_allclose(place.mean(axis=0), 0, atol=1e-9)
    assert table["before_x"].null_count() == 6  # no plain metadata in this run
    with pytest.raises(InputError, match="leave --format out"):
        export.main(["atlas", str(run), "--format", "jsonl"])
