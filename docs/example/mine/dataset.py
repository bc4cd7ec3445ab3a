"""A dataset: one JSON line per event, which no reader of pte's knows."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from pte.artifact import file_sha256
from pte.dataset.reader.source import interaction_rows, item_rows
from pte.dataset.rules import Rules
from pte.dataset.table.build import Source, build
from pte.schema import Interactions, Resolved


class Plays:
    """{"who": "ann", "song": {"id": "s1", "name": "...", "artist": "..."}, "at": 12} on every line of `file`."""

    def __init__(self, *, file: Resolved[str], rules: Rules) -> None:
        self.file, self.rules = Path(file), rules

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the raw files by role: what every later key is rooted in."""
        return {"plays": file_sha256(self.file)}

    def read(self) -> Interactions:
        lines = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
        plays = pl.DataFrame({"user": [x["who"] for x in lines], "song": [x["song"]["id"] for x in lines],
                              "at": [str(x["at"]) for x in lines]})  # fmt: skip
        songs = pl.DataFrame(list({x["song"]["id"]: x["song"] for x in lines}.values()))
        return build(
            interaction_rows(plays, user_id="user", item_id="song", position=None, timestamp="at"),
            item_rows(songs, item_id="id", title="name", columns=["artist"]),
            rules=self.rules,
            source=Source(name="plays", licence="none: made up", sha256=self.fingerprint()),
        )
