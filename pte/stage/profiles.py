"""Visible interactions -> Profiles: K candidate texts for every user and item, and every generation behind them.

Single generations are logged in store/work/generation, which all profiles artefacts of a store share: they are keyed by
model, decoding and prompt, so another K, another cut of the data or a killed run finds what was generated before.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from pte.profiler.loop.account import facts
from pte.profiler.loop.monitor import rounds
from pte.profiler.store.log import RecordLog
from pte.schema import IMPORTED, Interactions, Profiles, Split, of_kind, visible_view
from pte.schema.context import Context

logger = logging.getLogger(__name__)

NAME = "profiles"
VERSION = 11  # 11: more refusals and abbreviations; 10: wrappings of answers known by rule, JSON of any shape
READS = ("profiler",)
PARENTS = ("interactions", "split")


def run(context: Context) -> None:
    """Write the profiles from what prompts may show, and from nothing else."""
    interactions = Interactions.load(context.parents["interactions"])
    view = visible_view(interactions, Split.load(context.parents["split"]))
    log = RecordLog(context.work.parent.parent / "generation")
    profiler = context.build("profiler")
    profiles = of_kind(profiler.profile(view, log=log, out=context.out), Profiles, profiler, "profile")
    profiles.save(context.out)
    summary: dict[str, Any] = {**facts(profiles), "imported": sum(g.form == IMPORTED for g in profiles.generations)}
    summary |= {"rounds": rounds(profiles)}
    (context.out / "facts.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    for side, entity in (("item", 1), ("user", 0)):
        texts = {"item": profiles.item, "user": profiles.user}[side]
        if len(texts) > entity:
            logger.info(f"  {side} {entity}, of {profiles.num_candidates}: {texts[entity][0]!r}")
