"""A user's own tables: interactions and items as CSV, TSV or Parquet, with the columns' names in the config.

Nothing is guessed but the unit of numeric times, which their size tells (see `source.seconds`). The order within a user
is `position` where given, else `timestamp`; ties keep the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pte.asset import fetch
from pte.asset.cache import checksum
from pte.dataset.rules import Rules
from pte.dataset.source import interaction_rows, item_rows, read_frame, require, suffix
from pte.dataset.table import Source, build
from pte.schema import InputError, Interactions


class Custom:
    """Two tables: interactions (user, item, time or position) and items (item, title, any further text)."""

    def __init__(
        self,
        *,
        name: str,
        licence: str,
        interactions: str | None,
        items: str | None,
        user_id: str,
        item_id: str,
        timestamp: str | None,
        position: str | None,
        item_key: str,
        title: str,
        text: Sequence[str] | None,
        rules: Rules,
    ) -> None:
        for knob, value in (("interactions", interactions), ("items", items)):
            if not value:
                raise InputError(
                    f"dataset=custom needs two tables (.csv .tsv .parquet): type dataset.interactions=PATH"
                    f" dataset.items=PATH (dataset.{knob} is missing)"
                )
        if not timestamp and not position:
            raise InputError("dataset=custom needs an order: type dataset.timestamp=COLUMN or dataset.position=COLUMN")
        self.name, self.licence, self.rules = name, licence, rules
        self.places = {"interactions": str(interactions), "items": str(items)}
        self.user_id, self.item_id, self.timestamp, self.position = user_id, item_id, timestamp, position
        self.item_key, self.title, self.text = item_key, title, text

    def paths(self) -> dict[str, Path]:
        """The two files by role."""
        return {role: fetch(place) for role, place in self.places.items()}

    def fingerprint(self) -> dict[str, str]:
        """sha256 of the two files, by role and by the suffix that decides how they are read; not by where they lie."""
        return {role + suffix(path): checksum(path) for role, path in self.paths().items()}

    def read(self) -> Interactions:
        """The data set as Interactions."""
        paths = self.paths()
        events, ragged = read_frame(paths["interactions"])
        wanted = {"user_id": self.user_id, "item_id": self.item_id}
        wanted |= {knob: name for knob, name in (("timestamp", self.timestamp), ("position", self.position)) if name}
        require(events, wanted, paths["interactions"], configurable=True)

        things, broken = read_frame(paths["items"])
        require(things, {"item_key": self.item_key, "title": self.title}, paths["items"], configurable=True)
        for name in self.text or ():
            require(things, {"text": name}, paths["items"], configurable=True)
        texts = [c for c in things.columns if c not in (self.item_key, self.title)] if self.text is None else self.text
        return build(
            interaction_rows(
                events, user_id=self.user_id, item_id=self.item_id, position=self.position, timestamp=self.timestamp
            ),
            item_rows(things, item_id=self.item_key, title=self.title, columns=texts),
            rules=self.rules,
            source=Source(
                name=self.name,
                licence=self.licence,
                sha256=self.fingerprint(),
                ragged=tuple(ragged),
                ragged_items=tuple(broken),
            ),
        )
