"""Visible interactions -> Profiles: K candidate texts for every user and item, and every generation behind them.

Single generations are logged in store/work/generation, which all profiles artefacts of a store share: they are keyed by
model, decoding and prompt, so another K, another cut of the data or a killed run finds what was generated before.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pte.artifact import RecordLog
from pte.schema import Generation, InputError, Profiles, visible_view
from pte.stage import interactions as interactions_stage
from pte.stage import split as split_stage
from pte.stage.context import Context

NAME = "profiles"
VERSION = 1
READS = ("profiler",)
IDLE = (
    "profiler.batch_size", "profiler.device", "profiler.base_url", "profiler.parallel", "profiler.key_variable",
    "profiler.timeout_seconds",
)  # fmt: skip
PARENTS = ("interactions", "split")
FILE = "generations.jsonl.gz"


def run(context: Context) -> None:
    """Write the profiles from what prompts may show, and from nothing else."""
    interactions = interactions_stage.load(context.parents["interactions"])
    view = visible_view(interactions, split_stage.load(context.parents["split"]))
    log = RecordLog(context.work.parent.parent / "generation")
    profiles = context.build("profiler").profile(view, log=log, say=context.say)
    save(profiles, context.out)
    for side, entity in (("item", 1), ("user", 0)):
        texts = {"item": profiles.item, "user": profiles.user}[side]
        if len(texts) > entity:
            context.say(f"  {side} {entity}, of {profiles.num_candidates}: {texts[entity][0]!r}")


def save(profiles: Profiles, out: Path) -> None:
    """Write generations.jsonl.gz, one generation a line; the last round of each side holds the candidates."""
    with gzip.open(out / FILE, "wt", encoding="utf-8", compresslevel=1) as file:
        file.writelines(json.dumps(asdict(g), ensure_ascii=False) + "\n" for g in profiles.generations)


def load(path: Path) -> Profiles:
    """Read back what `save` wrote."""
    with gzip.open(path / FILE, "rt", encoding="utf-8") as file:
        generations = [Generation(**json.loads(line)) for line in file]
    user, item = _last_round(generations, "user"), _last_round(generations, "item")
    num_candidates = len(next(iter(item.values()), [""]))
    return Profiles(
        [user[u] for u in range(len(user))],
        [[""] * num_candidates, *(item[i] for i in range(1, len(item) + 1))],
        generations,
    )


def _last_round(generations: Iterable[Generation], side: str) -> dict[int, list[str]]:
    """Candidate texts by entity, in the order of their numbers."""
    mine = [g for g in generations if g.side == side]
    last = max((g.round for g in mine), default=0)
    texts: dict[int, list[str]] = {}
    for g in sorted((g for g in mine if g.round == last), key=lambda g: (g.entity, g.candidate)):
        texts.setdefault(g.entity, []).append(g.text)
    if len({len(group) for group in texts.values()}) > 1:
        raise InputError(f"the profiles of {side}s have different numbers of candidates: make them again")
    return texts
