"""What stands in for training where a backbone is counted: its training sequences, from which it is counted at use.

Counting takes seconds (EASE's inverse a minute) and happens once per evaluation; the counts themselves can be far
larger than the sequences, so these are what is kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pte.schema import Interactions, Split

SEQUENCES = "sequences.npz"


def keep(interactions: Interactions, split: Split, out: Path) -> dict[str, Any]:
    """Write sequences.npz: the training rows' items, and where each user's begin; and facts.json, which it returns."""
    item = interactions.item[split.train].astype(np.int64)
    count = np.bincount(interactions.user[split.train], minlength=interactions.num_users)
    start = np.concatenate([[0], np.cumsum(count[count > 0])]).astype(np.int64)
    np.savez(out / SEQUENCES, item=item, start=start)
    facts = {"trained": False, "parameters": 0, "sequences": len(start) - 1, "rows": len(item)}
    (out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return facts


def count(backbone: Any, path: Path) -> None:
    """Fit a backbone to the sequences kept in `path`, on the device it lies on."""
    with np.load(path / SEQUENCES, allow_pickle=False) as kept:
        backbone.fit(kept["item"], kept["start"])
