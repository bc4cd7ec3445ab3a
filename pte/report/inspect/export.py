"""`pte export profiles|vectors|atlas RUN`: texts and vectors by the user's own ids, in files that other programs read.

What is written can come in again: profiles by `profiler=imported`, vectors by `encoder=imported`. atlas.parquet is for
`embedding-atlas atlas.parquet --x x --y y --text text`: an item a row, its place on the two principal axes of the
vectors that the model reads, and that of its plain metadata on the same axes (before_x, before_y).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.artifact import Stored, replacing, write_atomic
from pte.report.projection import principal_axes
from pte.schema import FIRST, InputError, Interactions, Profiles, Selection, Split
from pte.schema.embeddings import metadata_vectors

SUFFIX = {"parquet": ".parquet", "jsonl": ".jsonl", "npy": ".npy"}


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="pte export",
        description="Write a run's profiles, its selected vectors, or a map of its items, by the data's own ids.",
    )
    root.add_argument("what", choices=("profiles", "vectors", "atlas"))
    root.add_argument("run", type=Path, help="a run folder")
    root.add_argument("--format", choices=tuple(SUFFIX), help="default: as --out ends, or parquet; npy: vectors alone")
    root.add_argument("--out", type=Path, help="the folder to write to, or the file (default: the run folder)")
    return root


def main(arguments: Sequence[str]) -> None:
    """Write, and print what was written."""
    options = parser().parse_args(arguments)
    out: Path = options.out or options.run
    by_suffix = {suffix: name for name, suffix in SUFFIX.items()}
    options.format = options.format or by_suffix.get(out.suffix, "parquet")
    if options.what == "profiles" and options.format == "npy":
        raise InputError("--format npy holds numbers alone: type --format parquet or --format jsonl for profiles")
    if options.what == "atlas" and options.format != "parquet":
        raise InputError(
            f"--format {options.format}: the map is for a program that opens Parquet, so leave --format out"
        )
    stored = Stored(options.run)
    interactions = Interactions.load(stored.path("interactions"))
    folder, name = place(out, options.what, SUFFIX[options.format])
    folder.mkdir(parents=True, exist_ok=True)
    if options.what == "profiles":
        table = profile_rows(interactions, texts(stored), before_refit(stored))
        written = _table(table, folder / name)
    elif options.what == "atlas":
        written = _table(atlas_rows(stored, interactions), folder / name)
    else:
        sides = vectors(interactions, selected(stored))
        if options.format == "npy":
            written = [path for side, (ids, rows) in sides.items() for path in _npy(folder, side, ids, rows)]
        else:
            written = _table(vector_rows(sides), folder / name)
    for path in written:
        print(path)


def place(out: Path, table: str, suffix: str) -> tuple[Path, str]:
    """Folder and file name for --out, a file where it ends as one; InputError where that is not the format's end."""
    if out.is_dir() or out.suffix not in SUFFIX.values():
        return out, f"{table}{suffix}"
    if out.suffix != suffix or suffix == SUFFIX["npy"]:
        several = " and npy makes several files" if suffix == SUFFIX["npy"] else f" and --format says {suffix[1:]}"
        raise InputError(f"--out {out} names one file,{several}: name a folder")
    return out.parent, out.name


def before_refit(stored: Stored) -> Selection | None:
    """What the selector chose among the texts that rewards judge; None where no selection was made."""
    return Selection.load(stored.path("selection")) if stored.has("selection") else None


def texts(stored: Stored) -> Profiles:
    """All candidates as the vectors that are read know them: items' final texts where these were written anew."""
    judged = Profiles.load(stored.path("profiles"))
    return replace(judged, item=Profiles.load(stored.path("refit")).item) if "refit" in stored.keys else judged


def selected(stored: Stored) -> Selection:
    """What the model reads: the final texts' vectors where texts were written anew after the choice."""
    return Selection.load(stored.path("refit" if "refit" in stored.keys else "selection"))


def profile_rows(interactions: Interactions, profiles: Profiles, selection: Selection | None) -> pl.DataFrame:
    """Every candidate of every user and item; `selected` is null where no selection was made or several are mixed."""
    rows = []
    for side, ids, texts in (
        ("item", interactions.items.item_id, profiles.item),
        ("user", interactions.user_id, profiles.user),
    ):
        for entity in range(FIRST[side], len(ids)):
            choice = -1 if selection is None else int(selection.choice[selection.entities.row(side, entity)])
            for k, text in enumerate(texts[entity]):
                rows.append((side, ids[entity], k, text, None if choice < 0 else choice == k))
    schema = {"side": pl.String, "id": pl.String, "candidate": pl.Int64, "text": pl.String, "selected": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def vectors(interactions: Interactions, selection: Selection) -> dict[str, tuple[list[str], np.ndarray]]:
    """Ids and unit vectors by side; a side whose texts were not encoded is left out."""
    sides = {"item": (interactions.items.item_id[1:], selection.side("item"))}
    if (user := selection.side("user")).any():
        sides["user"] = (interactions.user_id, user)
    return sides


def vector_rows(sides: dict[str, tuple[list[str], np.ndarray]]) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame({"side": [side] * len(ids), "id": ids, "vector": rows}).cast({"vector": pl.List(pl.Float32)})
        for side, (ids, rows) in sides.items()
    )


def atlas_rows(stored: Stored, interactions: Interactions) -> pl.DataFrame:
    """id, title, the data's text columns, count (in training), text (the one chosen, else the first), x, y, before_x,
    before_y (null where plain metadata was not encoded).
    """
    items, selection = interactions.items, selected(stored)
    written, choice = texts(stored).item, np.maximum(selection.choice[selection.entities.item], 0)
    train = Split.load(stored.path("split")).train
    vectors = selection.side("item")
    mean, axes, _ = principal_axes(vectors.astype(np.float64))
    place = (vectors - mean) @ axes
    before = np.full_like(place, np.nan)
    if stored.has("embeddings") and (plain := metadata_vectors(stored.path("embeddings"))) is not None:
        before = (plain - mean) @ axes
    columns: dict[str, Any] = {"id": items.item_id[1:], "title": items.title[1:]}
    columns |= {name: column[1:] for name, column in items.text.items()}
    columns |= {
        "count": np.bincount(interactions.item[train], minlength=len(items.title))[1:],
        "text": [candidates[k] for candidates, k in zip(written[1:], choice, strict=True)],
        "x": place[:, 0], "y": place[:, 1], "before_x": before[:, 0], "before_y": before[:, 1],
    }  # fmt: skip
    return pl.DataFrame(columns).with_columns(pl.col("before_x", "before_y").fill_nan(None))


def _table(table: pl.DataFrame, path: Path) -> list[Path]:
    with replacing(path) as scratch:
        (table.write_parquet if path.suffix == ".parquet" else table.write_ndjson)(scratch)
    return [path]


def _npy(out: Path, side: str, ids: list[str], rows: np.ndarray) -> list[Path]:
    """SIDE.npy (n, d) and SIDE.ids.json, the ids of its rows."""
    paths = [out / f"{side}.npy", out / f"{side}.ids.json"]
    paths[1].unlink(missing_ok=True)  # rows without ids, where this ends half-way, and never beside those of others
    with replacing(paths[0]) as scratch, scratch.open("wb") as file:
        np.save(file, rows)
    write_atomic(paths[1], json.dumps(ids))
    return paths
