"""Interactions -> Split: which rows train, which the prompts may show, and which questions are asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pte.protocol.facts import check, describe
from pte.schema import Cases, Split
from pte.stage import interactions as interactions_stage
from pte.stage.context import Context

NAME = "split"
VERSION = 2  # 2: tied with the row after, too
READS = ("protocol",)
IDLE = ()
PARENTS = ("interactions",)


def run(context: Context) -> None:
    """Apply the protocol, check the split, save it with its facts."""
    interactions = interactions_stage.load(context.parents["interactions"])
    split = context.build("protocol")(interactions)
    check(interactions, split)
    facts = describe(interactions, split)
    save(split, context.out, facts)
    share = facts["test_tied_share"]
    tied = "" if share is None else f" ({share:.1%} ordered by convention: same time as an item beside)"
    context.say(
        f"split: {facts['train_rows']:,} train rows ({facts['withheld_rows']:,} withheld from prompts) of"
        f" {facts['train_users']:,} users; {facts['valid_cases']:,} valid and {facts['test_cases']:,} test cases"
        f"{tied}; {facts['rows'] - facts['rows_used']:,} rows set aside"
    )


def save(split: Split, out: Path, facts: dict[str, Any]) -> None:
    """Write split.npz and facts.json."""
    arrays: dict[str, Any] = {"train": split.train, "visible": split.visible}
    for name, part in (("valid", split.valid), ("test", split.test)):
        arrays |= {f"{name}_{key}": value for key, value in vars(part).items() if value is not None}
    np.savez(out / "split.npz", **arrays)
    (out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load(path: Path) -> Split:
    """Read back what `save` wrote."""
    with np.load(path / "split.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    valid, test = (
        Cases(arrays[f"{part}_user"], arrays[f"{part}_target"], arrays[f"{part}_tied"], arrays.get(f"{part}_begin"))
        for part in ("valid", "test")
    )
    return Split(arrays["train"], arrays["visible"], valid, test)


def load_facts(path: Path) -> dict[str, Any]:
    """The counts recorded with a split."""
    return json.loads((path / "facts.json").read_text(encoding="utf-8"))
