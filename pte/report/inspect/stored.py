"""The artefacts a run was made of, found by the keys in its folder."""

from __future__ import annotations

import json
from pathlib import Path

from pte.artifact import Store
from pte.paths import RUN_KEYS
from pte.schema import InputError


class Stored:
    """A run folder's way into the store."""

    def __init__(self, run: Path) -> None:
        file = run / RUN_KEYS
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            self.run, self.store, self.keys = run, Store(Path(found["store"])), dict(found["keys"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{run}: no {RUN_KEYS} in it, so it is no run folder: give the one that a run names in its"
                " first line (run folder ...)"
            ) from None

    def path(self, stage: str) -> Path:
        """The folder of a stage's artefact; InputError where the run never made it, or it is gone or damaged."""
        if stage not in self.keys:
            raise InputError(f"{self.run}: this run has no {stage}: its models read no text, or it stopped before")
        found = self.store.find(stage, self.keys[stage])
        if found is None:
            place = self.store.path(stage, self.keys[stage])
            raise InputError(
                f"{self.run}: its {stage} are not in the store ({place}), or damaged: run its command again"
            )
        return found

    def has(self, stage: str) -> bool:
        return stage in self.keys and self.store.find(stage, self.keys[stage]) is not None
