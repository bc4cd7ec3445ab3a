"""Prepared tables: a folder of `interactions.csv.gz` and `items.csv.gz`, read as they are.

`interactions.csv.gz`: user_id, item_id, position (chronological within a user), timestamp (Unix seconds, may be empty).
`items.csv.gz`: item_id, title and further text columns. Amazon's item code (asin) is left out: whole-day times are tied
in the order of that code, so a model that reads it reads the order of the test targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pte.artifact import file_sha256
from pte.dataset.reader.source import interaction_rows, item_rows, read_frame, require
from pte.dataset.rules import Rules
from pte.dataset.table.build import build_read
from pte.dataset.table.column import is_index
from pte.paths import expanded
from pte.schema import InputError, Interactions, Resolved

FILES = {"interactions": "interactions.csv.gz", "items": "items.csv.gz"}
NOT_TEXT = ("item_id", "title", "asin")


class Prepared:
    """A published data set from prepared tables under `data`/`folder`."""

    def __init__(
        self,
        *,
        name: str,
        data: Resolved[str | None],
        folder: str,
        licence: str,
        expect: Mapping[str, int] | None,
        rules: Rules,
    ) -> None:
        self.name, self.data, self.folder = name, data, folder
        self.licence, self.expect, self.rules = licence, expect, rules

    def paths(self) -> dict[str, Path]:
        """The two files by role; an error that says what is expected where, if one is missing."""
        expected = f"{self.folder}/{FILES['interactions']} and {self.folder}/{FILES['items']}"
        if not self.data:
            raise InputError(
                f"dataset={self.name} needs prepared tables and no folder is given. Set PTE_DATA (or paths.data) to the"
                f" folder that holds {expected}"
            )
        paths = {role: expanded(self.data, "paths.data") / self.folder / file for role, file in FILES.items()}
        for path in paths.values():
            if not path.is_file():
                raise InputError(
                    f"dataset={self.name}: there is no file {path}. PTE_DATA (or paths.data) must be the folder that"
                    f" holds {expected}"
                )
        return paths

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the two files, wherever they lie."""
        return {FILES[role]: file_sha256(path) for role, path in self.paths().items()}

    def read(self) -> Interactions:
        """The data set as Interactions."""
        paths = self.paths()
        events, items = read_frame(paths["interactions"]), read_frame(paths["items"])
        require(events, {c: c for c in ("user_id", "item_id", "position", "timestamp")}, paths["interactions"])
        require(items, {c: c for c in ("item_id", "title")}, paths["items"])
        texts = [c for c in items.frame.columns if c not in NOT_TEXT and not is_index(c)]
        names = {c: c for c in ("user_id", "item_id", "position", "timestamp")}
        return build_read(
            events,
            interaction_rows(events.frame, **names),
            items,
            item_rows(items.frame, item_id="item_id", title="title", columns=texts),
            rules=self.rules,
            name=self.name,
            licence=self.licence,
            sha256=self.fingerprint(),
            expect=self.expect,
        )
