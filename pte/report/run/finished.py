"""One finished run with all that it was made from, for a page about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pte.artifact import Stored
from pte.report import runs
from pte.report.runs import Ranked, Run
from pte.schema import Interactions, Selection, Split


@dataclass(frozen=True)
class Finished:
    """Read on request, and cached. Cases are those of the test part."""

    run: Run
    artefact: dict[str, Path]

    @classmethod
    def read(cls, folder: Path) -> Finished:
        run, stored = runs.read(folder), Stored(folder)
        return cls(run, {stage: stored.path(stage) for stage in run.report["stages"]})

    @cached_property
    def interactions(self) -> Interactions:
        return Interactions.load(self.artefact["interactions"])

    @cached_property
    def split(self) -> Split:
        return Split.load(self.artefact["split"])

    @cached_property
    def selection(self) -> Selection | None:
        """What the model read: of texts written anew after the choice where there are such."""
        return Selection.of(self.artefact)

    @property
    def ranked(self) -> Ranked:
        return self.run.parts["test"]

    @cached_property
    def popularity(self) -> np.ndarray:
        """(N+1,) training counts."""
        data = self.interactions
        return np.bincount(data.item[self.split.train], minlength=data.num_items + 1)

    @cached_property
    def history(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,), (C,): the history of case c is the items of rows begin[c]:end[c]."""
        cases = self.split.test
        return cases.history_begin(self.interactions), cases.target

    @cached_property
    def lists(self) -> np.ndarray:
        """(C, 10) items recommended, best first; zeros where there was no list of ten."""
        lists: np.ndarray = np.load(self.artefact["metrics"] / "lists.npy", allow_pickle=False)
        return lists

    def curve(self, stage: str) -> dict[str, np.ndarray]:
        """The columns of a stage's curve; {} where it has none."""
        return runs.curve_in(self.artefact[stage]) if stage in self.artefact else {}
