"""Vectors by the data's own ids: matched, brought to unit length, refused where they fit badly."""

import json

import numpy as np
import polars as pl
import pytest

from pte.encoder.imported import ImportedVectors
from pte.engine import plan
from pte.schema import Embeddings, InputError
from pte.schema.context import Context
from pte.stage import embeddings

IDS = [f"m{i}" for i in range(1, 7)]
ROWS = np.arange(12, dtype=np.float32).reshape(6, 2) + 1


def imported(file, **knobs):
    return ImportedVectors(**{"file": str(file), "missing_share": 0.05, "unknown_share": 0.5, **knobs})


def write(tmp_path, form, ids=IDS, rows=ROWS, **columns):
    file = tmp_path / f"item.{form}"
    if form == "npy":
        np.save(file, rows)
        (tmp_path / "item.ids.json").write_text(json.dumps(list(ids)))
    else:
        pl.DataFrame({"id": list(ids), "vector": [list(map(float, row)) for row in rows], **columns}).write_parquet(
            file
        )
    return file


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_rows_by_id_at_unit_length(tmp_path, form):
    encoder = imported(write(tmp_path, form, IDS[::-1], ROWS[::-1]))
    got = encoder.vectors(IDS)
    assert got.shape == (7, 2)
    assert encoder.known_width(download=False) == 2
    assert not got[0].any()
    np.testing.assert_allclose(got[1:], ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True), rtol=1e-6)
    assert encoder.card()["matched"] == "6 of 6 items found, 0 ids of the file unknown"


def test_an_item_without_a_vector_is_zeros_and_users_are_left_out(tmp_path):
    file = write(tmp_path, "parquet", [*IDS[:5], "m6"], side=["item"] * 5 + ["user"])
    got = imported(file, missing_share=0.2).vectors(IDS)
    assert got[1:6].any(axis=1).all()
    assert not got[6].any()


@pytest.mark.parametrize(
    ("form", "change", "words"),
    [("npy", {"ids": IDS[:5]}, "5 ids for an array"), ("npy", {"rows": ROWS[:, 0]}, "5 ids|6 ids"),
     ("npy", {"rows": ROWS * np.nan}, "NaN"), ("parquet", {"rows": [*ROWS[:5], ROWS[5][:1]]}, "all of one length"),
     ("npy", {"ids": [*IDS[:5], "m1"]}, "more than one vector"),
     ("parquet", {"ids": [f"x{i}" for i in range(6)]}, "missing")],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, form, change, words):
    with pytest.raises(InputError, match=words):
        imported(write(tmp_path, form, **change), missing_share=0.5).vectors(IDS)


@pytest.mark.parametrize("damage", [b"", b"nonsense"])
def test_damage_is_one_sentence(tmp_path, damage):
    for form in ("npy", "parquet"):
        write(tmp_path, form).write_bytes(damage)
        with pytest.raises(InputError, match="cannot be read"):
            imported(tmp_path / f"item.{form}").vectors(IDS)
    (tmp_path / "item.ids.json").unlink()
    with pytest.raises(InputError, match=r"item.ids.json beside it"):
        imported(tmp_path / "item.npy").vectors(IDS)
    with pytest.raises(InputError, match="no such file"):
        imported(tmp_path / "none.npy")


def test_other_ids_beside_an_npy_are_another_identity(tmp_path):
    before = imported(write(tmp_path, "npy")).identity()
    assert imported(write(tmp_path, "npy")).identity() == before
    assert imported(write(tmp_path, "npy", IDS[::-1])).identity() != before


def test_the_stage_reads_no_profile(tmp_path, twelve, caplog):
    folders = {"interactions": tmp_path / "interactions", "profiles": tmp_path / "absent"}
    for name in ("interactions", "out"):
        (tmp_path / name).mkdir()
    twelve.save(folders["interactions"])
    encoder = imported(write(tmp_path, "parquet"))
    config = {"encoder": {}, "encoded": ["item"]}
    embeddings.run(Context(config, folders, tmp_path / "out", tmp_path, lambda group: encoder, []))
    got = Embeddings.load(tmp_path / "out")
    assert got.vector.shape == (4 + 6, 1, 2)
    assert (got.users_encoded, got.metadata) == (False, None)
    assert "cannot be proven" in caplog.messages[-1]


def test_profiles_beside_imported_vectors_are_refused_before_they_are_made():
    config = {
        "encoded": "auto", "encoder": {"_target_": "pte.encoder.imported.ImportedVectors"},
        "selector": {"_target_": "pte.selector.mean.Mean"},
        "backbone": {"_target_": "pte.backbone.text_knn.TextKNN"},
        "profiler": {"_target_": plan.METADATA, "num_candidates": 1},
    }  # fmt: skip
    assert plan.encoded(config) == ["item"]
    with pytest.raises(InputError, match="profiler=none"):
        plan.encoded(
            {**config, "profiler": {"_target_": "pte.profiler.template.TemplateProfiler", "num_candidates": 1}}
        )
