"""Texts by the data's own ids: matched, counted, repeated where few, refused where unfit, never called clean."""

import json

import polars as pl
import pytest

from pte.profiler.imported import ImportedProfiler
from pte.profiler.store.log import RecordLog
from pte.schema import InputError, Profiles, visible_view
from pte.schema.context import Context
from pte.stage import audit

ITEMS = {f"m{i}": f"film {i}" for i in range(1, 7)}


def importer(file, **knobs):
    values = {"file": str(file), "num_candidates": 1, "missing_share": 0.05, "unknown_share": 0.5, "titles": 10}
    return ImportedProfiler(**values | knobs)


@pytest.fixture
def read(twelve, twelve_split, tmp_path, caplog):
    """Profiles of a table given as columns, and the lines said."""

    def run(table, suffix=".csv", **knobs):
        file = tmp_path / f"profiles{suffix}"
        pl.DataFrame(table).write_csv(file) if suffix == ".csv" else pl.DataFrame(table).write_parquet(file)
        view = visible_view(twelve, twelve_split)
        return importer(file, **knobs).profile(view, log=RecordLog(tmp_path / "log")), caplog.messages

    return run


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_items_by_id_in_any_order(read, suffix):
    got, lines = read({"text": list(ITEMS.values())[::-1], "id": list(ITEMS)[::-1]}, suffix)
    assert got.item == [[""], *([text] for text in ITEMS.values())]
    assert got.user[3] == ["Recently chose: Heat"]
    assert lines[0].startswith("profiles: the file has no user texts")
    assert lines[1] == "profiles: 6 of 6 items found, 0 ids of the file unknown, 0 with fewer than 1 texts"
    assert "cannot be proven" in lines[-1]


def test_numbers_written_as_numbers_are_ids(read, twelve):
    twelve.items.item_id[1:] = [str(i) for i in range(1, 7)]
    got, _ = read({"id": [float(i) for i in range(1, 7)], "text": list(ITEMS.values())}, ".parquet")
    assert got.item[6] == ["film 6"]


def test_candidates_by_number_and_by_order_and_repeated_where_few(read):
    ids = ["m1", "m1", *list(ITEMS)[1:]]
    numbered, lines = read(
        {"id": ids, "text": ["b", "a", *"23456"], "candidate": [1, 0, 0, 0, 0, 0, 0]}, num_candidates=3
    )
    assert numbered.item[1] == ["a", "b", "a"]
    assert numbered.item[2] == ["2", "2", "2"]
    assert "6 with fewer than 3 texts" in lines[1]
    ordered, _ = read({"id": ids, "text": ["b", "a", *"23456"]}, num_candidates=2)
    assert ordered.item[1] == ["b", "a"]


def test_both_sides_and_what_is_missing(read):
    """cy has no text; m6 a blank one: metadata and titles stand in, and both are counted."""
    ids = ["ann", "bob", "dee", "nobody", *ITEMS]
    table = {"id": ids, "text": ["A", "B", "D", "N", *"12345", "  "], "side": ["user"] * 4 + ["item"] * 6}
    got, lines = read(table, missing_share=0.25)
    assert [group[0] for group in got.user] == ["A", "B", "Recently chose: GoldenEye; Toy Story", "D"]
    assert got.item[6] == ["Fargo. Crime. 1996."]
    assert [(g.side, g.entity) for g in got.generations if not g.parsed] == [("user", 2), ("item", 6)]
    assert lines[0].startswith("profiles: 3 of 4 users found, 1 ids of the file unknown")


@pytest.mark.parametrize(
    ("change", "knobs", "words"),
    [({"id": ["x1", "x2", "x3", "x4", "x5", "x6"]}, {}, "6 of 6 items of the data are missing"),
     ({"id": ["m1", "m1", "m3", "m4", "m5", "m6"]}, {"missing_share": 0.2}, "type profiler.num_candidates=2"),
     ({"candidate": [0, 0, 0, 0, 0, 4]}, {}, "profiler.num_candidates=5"),
     ({"candidate": ["a"] * 6}, {}, "row 1: candidate=a"), ({"candidate": [0, None] * 3}, {}, "number all of them"),
     ({"id": ["m1", "m1", "m3", "m4", "m5", "m6"], "candidate": [0] * 6}, {"missing_share": 0.2}, "two texts of one"),
     ({"side": ["items"] * 6}, {}, "side=items"), ({"id": [None, *list(ITEMS)[1:]]}, {}, "row 1: id=null"),
     ({}, {"num_candidates": 0}, "num_candidates=0"), ({}, {"missing_share": 2}, "missing_share=2")],
)  # fmt: skip
def test_what_does_not_fit_is_refused(read, change, knobs, words):
    with pytest.raises(InputError, match=words):
        read({"id": list(ITEMS), "text": list(ITEMS.values()), **change}, **knobs)


def test_columns_and_files_that_are_not_there(read, tmp_path, twelve, twelve_split):
    with pytest.raises(InputError, match="no column 'text'"):
        read({"id": ["m1"], "words": ["x"]})
    with pytest.raises(InputError, match=r"no file|no such file"):
        importer(tmp_path / "none.csv").rebuild(visible_view(twelve, twelve_split), [])
    with pytest.raises(InputError, match=r"profiler\.file=PATH"):
        importer("")


def test_the_audit_says_that_nothing_can_be_proven_yet_finds_an_edit(read, twelve, twelve_split, tmp_path, caplog):
    got, _ = read({"id": ["ann", *ITEMS], "text": ["Loves Aliens", *ITEMS.values()], "side": ["user"] + ["item"] * 6},
                  missing_share=0.75)  # fmt: skip
    folders = {name: tmp_path / name for name in ("interactions", "split", "profiles")}

    def run(profiles):
        for folder in (*folders.values(), tmp_path / "out", tmp_path / "work"):
            folder.mkdir(exist_ok=True)
        twelve.save(folders["interactions"])
        twelve_split.save(folders["split"])
        profiles.save(folders["profiles"])
        build = lambda group: importer(tmp_path / "profiles.csv", missing_share=0.75)  # noqa: E731
        audit.run(Context({}, folders, tmp_path / "out", tmp_path / "work", build, []))

    run(got)
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert report["verdict"].startswith("cannot be proven")
    assert report["imported"] == 7
    assert "CANNOT BE PROVEN" in caplog.messages[-1]
    edited = [*got.generations]
    edited[0] = edited[0].__class__(**{**vars(edited[0]), "text": "Loves Fargo"})
    with pytest.raises(InputError, match="text differs"):
        run(Profiles(got.user, got.item, edited))
