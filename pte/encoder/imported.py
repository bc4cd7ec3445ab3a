"""`encoder=imported`: item vectors made elsewhere, by the data's own ids; no text is read.

Parquet with the columns id and vector (and, where needed, side: rows of users are left out, for no model takes them),
or X.npy (n, d) beside X.ids.json, a list of n ids: what `pte export vectors` writes. Vectors are brought to unit
length, as every encoder's are; an item without one is a row of zeros, as a blank text is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pte.artifact import file_sha256
from pte.asset import local_file
from pte.dataset.reader.source import read_whole, text
from pte.dataset.table.by_id import Tolerance, match
from pte.schema import InputError, Resolved


class ImportedVectors:
    """(N+1, d) by id."""

    reads_ids = True

    def __init__(self, *, file: Resolved[str | None], missing_share: float, unknown_share: float) -> None:
        if not file:
            raise InputError("encoder.file is missing: type encoder.file=PATH, a .parquet of id and vector, or a .npy")
        self.file, self.path = file, local_file(file, "encoder.file")
        self.tolerance = Tolerance(group="encoder", missing_share=missing_share, unknown_share=unknown_share)
        self._summary = ""

    def identity(self) -> dict[str, str]:
        """The content of the ids beside an .npy; the file's own is in the key already."""
        return {"ids": file_sha256(self._ids)} if self._ids.is_file() else {}

    @cached_property
    def width(self) -> int:
        """d."""
        return int(self._rows[1].shape[1])

    def known_width(self, download: bool) -> int:
        """d: the file is here."""
        return self.width

    def vectors(self, item_id: Sequence[str]) -> np.ndarray:
        """(N+1, d) float32 for the ids of items 1..N: unit rows, row 0 zeros."""
        ids, rows = self._rows
        matches = match(ids, item_id, noun="item", file=self.file, tolerance=self.tolerance)
        known = matches.place >= 0
        twice = np.flatnonzero(np.bincount(matches.place[known], minlength=len(item_id)) > 1)
        if len(twice):
            raise InputError(f"encoder.file={self.file}: item {item_id[twice[0]]!r} has more than one vector")
        table = np.zeros((len(item_id) + 1, self.width), np.float32)
        length = np.linalg.norm(rows[known], axis=1, keepdims=True)
        table[1 + matches.place[known]] = np.divide(
            rows[known], length, out=np.zeros_like(rows[known]), where=length > 0
        )
        self._summary = matches.summary("item", len(item_id))
        return table

    def card(self) -> dict[str, Any]:
        return {"model": "imported", "file": self.path.name, "width": self.width, "matched": self._summary}

    @property
    def _ids(self) -> Path:
        return self.path.with_suffix(".ids.json")

    @cached_property
    def _rows(self) -> tuple[list[str], np.ndarray]:
        """Ids (n,) and vectors (n, d) of items as they stand in the file."""
        ids, rows = self._from_npy() if self.path.suffix == ".npy" else self._from_parquet()
        if rows.ndim != 2 or not rows.size or len(ids) != len(rows):
            raise InputError(
                f"encoder.file={self.file}: {len(ids):,} ids for an array {rows.shape}: give n ids for (n, d)"
            )
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise InputError(f"encoder.file={self.file}: the vector of {ids[bad[0]]!r} has a NaN or an infinite number")
        return ids, rows

    def _from_npy(self) -> tuple[list[str], np.ndarray]:
        if not self._ids.is_file():
            raise InputError(
                f"encoder.file={self.file} needs {self._ids} beside it: a JSON list of the ids of its rows"
            )
        try:
            rows, ids = np.load(self.path, allow_pickle=False), json.loads(self._ids.read_text(encoding="utf-8"))
            return [str(name) for name in ids], rows.astype(np.float32)
        except (OSError, ValueError, TypeError, AttributeError, EOFError) as error:
            raise InputError(f"encoder.file={self.file} or {self._ids} cannot be read ({error})") from None

    def _from_parquet(self) -> tuple[list[str], np.ndarray]:
        frame = read_whole(self.path, ["id", "vector"]).frame
        if "side" in frame.columns:
            frame = frame.filter(text(frame, "side") == "item")
        ids = text(frame, "id").fill_null("").to_list()
        try:
            length = frame["vector"].cast(pl.List(pl.Float32)).list.len().unique().to_list()
        except pl.exceptions.PolarsError:
            length = []
        if len(length) != 1 or not length[0]:
            raise InputError(
                f"encoder.file={self.file}: `vector` must hold lists of numbers, all of one length; it holds"
                f" {frame['vector'].dtype} of {len(length)} lengths"
            )
        flat = frame["vector"].cast(pl.List(pl.Float32)).explode().fill_null(float("nan"))
        return ids, flat.to_numpy().reshape(len(ids), int(length[0]))
