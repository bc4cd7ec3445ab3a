"""Interactions -> Split: which rows train, which the prompts may show, and which cases are evaluated."""

from __future__ import annotations

import json
import logging

import numpy as np

from pte.protocol.facts import check, describe, require_cases
from pte.schema import Interactions, Split, of_kind
from pte.schema.context import Context

logger = logging.getLogger(__name__)

NAME = "split"
VERSION = 3  # 3: rows held out for gates
READS = ("protocol",)
PARENTS = ("interactions",)


def run(context: Context) -> None:
    """Apply the protocol, check the split, save it with its facts."""
    interactions = Interactions.load(context.parents["interactions"])
    protocol = context.build("protocol")
    split = of_kind(protocol(interactions), Split, protocol, "__call__")
    check(interactions, split)
    require_cases(interactions, split)
    facts = describe(interactions, split)
    split.save(context.out)
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    most = int(np.bincount(interactions.user[split.train & ~split.visible], minlength=1).max())
    if most < (withhold := context.config["protocol"].get("withhold", 0)):
        logger.info(f"  protocol.withhold={withhold}: no user has so many rows to spare, at most {most} are withheld")
    share = facts["test_tied_share"]
    tied = "" if share is None else f" ({share:.1%} ordered by convention: same time as an item beside)"
    logger.info(
        f"split: {facts['train_rows']:,} train rows ({facts['withheld_rows']:,} withheld from prompts,"
        f" {facts['holdout_rows']:,} held out) of {facts['train_users']:,} users;"
        f" {facts['valid_cases']:,} valid and {facts['test_cases']:,} test cases"
        f"{tied}; {facts['rows'] - facts['rows_used']:,} rows set aside"
    )
