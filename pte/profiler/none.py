"""`profiler=none`: no profiles; an item is its metadata, a person the titles they chose. One candidate each.

The control that profiles must beat under the same encoder (LangPTune, arXiv 2410.18870, found it hard to beat).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pte.profiler.base import Log
from pte.profiler.evidence.plain import Plain
from pte.schema import Generation, InputError, Profiles, View

logger = logging.getLogger(__name__)


class MetadataProfiler:
    """Plain metadata, K = 1."""

    def __init__(self, *, num_candidates: int, titles: int) -> None:
        if num_candidates != 1:
            raise InputError(
                f"profiler.num_candidates={num_candidates}: plain metadata has one text; type profiler.num_candidates=1"
            )
        self.num_candidates, self.titles = num_candidates, titles

    def profile(self, view: View, *, log: Log) -> Profiles:
        """Nothing is generated, so nothing is logged."""
        logger.info("profiles: none; items are their metadata")
        return self.rebuild(view, [])

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """The texts follow from the view alone."""
        plain = Plain(view, self.titles)
        places = [("item", i) for i in range(1, view.num_items + 1)] + [("user", u) for u in range(view.num_users)]
        texts = {place: plain.of(*place) for place in places}
        generations = [
            Generation(side, entity, 0, 0, "metadata", 0.0, "", "", text, parsed=True)
            for (side, entity), text in texts.items()
        ]
        users = [[texts["user", u]] for u in range(view.num_users)]
        return Profiles(users, [[""], *([texts["item", i]] for i in range(1, view.num_items + 1))], generations)
