"""`profiler=imported`: texts written elsewhere, from a table (CSV, Parquet) of id, text and, optional, side, candidate.

`id` is the data's own id, `side` is item (where there is no such column) or user, and candidates are numbered from 0;
without numbers the rows of one id are its candidates in their order. An entity with fewer texts than candidates repeats
them in turn, one without any has the text of `profiler=none`; both are counted. Whether such texts were written
without knowledge of held-out rows cannot be proven here: it is reported at reading, recorded, and audited as such.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pte.asset import local_file
from pte.dataset.reader.source import read_whole, text
from pte.dataset.table.by_id import Tolerance, match
from pte.profiler.base import DeterministicProfiler, check_candidates
from pte.profiler.evidence.plain import Plain
from pte.schema import IMPORTED, Generation, InputError, Profiles, ProfileWriter, Resolved, View

SIDES = ("user", "item")
STAND_IN = "metadata"  # the form of a text that the file lacks


class ImportedProfiler(DeterministicProfiler):
    """K texts per entity out of a file."""

    def __init__(
        self,
        *,
        file: Resolved[str | None],
        num_candidates: int,
        missing_share: float,
        unknown_share: float,
        titles: int,
    ) -> None:
        if not file:
            raise InputError(
                "profiler.file is missing: type profiler.file=PATH, a table (.csv .parquet) of id and text"
            )
        check_candidates(num_candidates)
        self.file, self.path, self.num_candidates = file, local_file(file, "profiler.file"), num_candidates
        self.tolerance = Tolerance(group="profiler", missing_share=missing_share, unknown_share=unknown_share)
        self.titles = titles
        self._counts: list[str] = []

    def _account(self, profiles: Profiles) -> list[str]:
        elsewhere = (
            "profiles: WRITTEN ELSEWHERE. That they tell nothing of held-out interactions cannot be proven here:"
            " figures made with them rest on whoever wrote the file"
        )
        return [*self._counts, elsewhere]

    def _write(self, view: View, writer: ProfileWriter) -> Profiles:
        table = self._table()
        plain = Plain(view, self.titles)
        self._counts = []
        for side, known, first in (("user", view.user_id, 0), ("item", view.items.item_id[1:], 1)):
            given = self._candidates(side, known, table.filter(pl.col("side") == side))
            for entity, own in enumerate(given, first):
                form, some = (IMPORTED, own) if own else (STAND_IN, [plain.of(side, entity)])
                writer.entity(
                    Generation(side, entity, 0, k, form, 0.0, "", "", some[k % len(some)], parsed=bool(own))
                    for k in range(self.num_candidates)
                )
        return writer.close()

    def _table(self) -> pl.DataFrame:
        """id, text, side and candidate (null where rows are not numbered); blank texts are left out."""
        frame = read_whole(self.path, ["id", "text"]).frame
        columns = {name: text(frame, name) for name in ("id", "text", "side", "candidate") if name in frame.columns}
        table = pl.DataFrame(
            {
                "id": columns["id"],
                "text": columns["text"].str.strip_chars(),
                "side": columns.get("side", pl.Series(["item"] * len(frame), dtype=pl.String)),
                "candidate": columns.get("candidate", pl.Series([None] * len(frame), dtype=pl.String)),
            }
        )
        for row, (name, side, number) in enumerate(table.select("id", "side", "candidate").iter_rows(), 1):
            if name is None or side not in SIDES:
                raise InputError(
                    f"{self.path}, row {row}: id={name}, side={side}: give an id, and user or item for the side"
                )
            if number is not None and not (number.isascii() and number.isdigit()):
                raise InputError(f"{self.path}, row {row}: candidate={number}: give a whole number from 0 on")
        if table["candidate"].null_count() not in (0, len(table)):
            raise InputError(f"{self.path}: some rows have a candidate and some have none: number all of them, or none")
        return table.filter((pl.col("text") != "").fill_null(False))

    def _candidates(self, side: str, known: Sequence[str], table: pl.DataFrame) -> list[list[str]]:
        """The given texts of every entity, [] where it has none; a side that the file leaves out is not missed."""
        given: list[list[str]] = [[] for _ in known]
        if side == "user" and not len(table):
            self._counts.append(
                "profiles: the file has no user texts: users are described by titles, as profiler=none does"
            )
            return given
        matches = match(table["id"].to_list(), known, noun=side, file=self.file, tolerance=self.tolerance)
        numbers: list[list[int]] = [[] for _ in known]
        for at, words, number in zip(matches.place.tolist(), table["text"], table["candidate"], strict=True):
            if at >= 0:
                numbers[at].append(len(numbers[at]) if number is None else int(number))
                given[at].append(words)
        for i, own in enumerate(numbers):
            if len(set(own)) < len(own):
                raise InputError(
                    f"profiler.file={self.file}: {side} {known[i]!r} has two texts of one candidate number"
                )
            if own and max(own) >= self.num_candidates:
                raise InputError(
                    f"profiler.file={self.file}: {side} {known[i]!r} has candidate {max(own)}, counted from 0, but"
                    f" profiler.num_candidates={self.num_candidates}: type profiler.num_candidates="
                    f"{max(max(each, default=0) for each in numbers) + 1}"
                )
            given[i] = [words for _, words in sorted(zip(own, given[i], strict=True))]
        short = sum(0 < len(own) < self.num_candidates for own in given)
        self._counts.append(
            f"profiles: {matches.summary(side, len(known))}, {short:,} with fewer than {self.num_candidates} texts"
        )
        return given
