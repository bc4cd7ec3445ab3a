"""`profiler=none`: no profiles; an item is its metadata, a user the titles they chose. One candidate each.

The control that profiles must beat under the same encoder (LangPTune, arXiv 2410.18870, found it hard to beat).
"""

from __future__ import annotations

from pte.profiler.base import DeterministicProfiler
from pte.profiler.evidence.plain import Plain
from pte.schema import Generation, InputError, Profiles, ProfileWriter, View


class MetadataProfiler(DeterministicProfiler):
    """Plain metadata, K = 1."""

    def __init__(self, *, num_candidates: int, titles: int) -> None:
        if num_candidates != 1:
            raise InputError(
                f"profiler.num_candidates={num_candidates}: plain metadata has one text; type profiler.num_candidates=1"
            )
        self.num_candidates, self.titles = num_candidates, titles

    def _account(self, profiles: Profiles) -> list[str]:
        return ["profiles: none; items are their metadata"]

    def _write(self, view: View, writer: ProfileWriter) -> Profiles:
        plain = Plain(view, self.titles)
        for side, entities in (("item", range(1, view.num_items + 1)), ("user", range(view.num_users))):
            for e in entities:
                text = plain.of(side, e)
                writer.entity([Generation(side, e, 0, 0, "metadata", 0.0, "", "", text, parsed=True)])
        return writer.close()
