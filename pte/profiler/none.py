"""`profiler=none`: no profiles; an item is its metadata, a person the titles they chose. One candidate each.

The control that profiles must beat under the same encoder (LangPTune, arXiv 2410.18870, found it hard to beat).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pte.profiler.base import Log
from pte.profiler.evidence.plain import Plain
from pte.schema import Generation, InputError, Profiles, ProfileWriter, View

logger = logging.getLogger(__name__)


class MetadataProfiler:
    """Plain metadata, K = 1."""

    def __init__(self, *, num_candidates: int, titles: int) -> None:
        if num_candidates != 1:
            raise InputError(
                f"profiler.num_candidates={num_candidates}: plain metadata has one text; type profiler.num_candidates=1"
            )
        self.num_candidates, self.titles = num_candidates, titles

    def profile(self, view: View, *, log: Log, out: Path | None = None) -> Profiles:
        """Nothing is generated, so nothing is logged."""
        logger.info("profiles: none; items are their metadata")
        return self._write(view, ProfileWriter(out, 1))

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """The texts follow from the view alone."""
        return self._write(view, ProfileWriter(None, 1))

    def _write(self, view: View, writer: ProfileWriter) -> Profiles:
        plain = Plain(view, self.titles)
        for side, entities in (("item", range(1, view.num_items + 1)), ("user", range(view.num_users))):
            for e in entities:
                text = plain.of(side, e)
                writer.entity([Generation(side, e, 0, 0, "metadata", 0.0, "", "", text, parsed=True)])
        return writer.close()
