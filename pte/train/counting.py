"""The artefact of a counted backbone: its training sequences, to which it is fitted whenever it is loaded.

Counting takes seconds (EASE's inverse a minute) and happens once per evaluation; the counts themselves can be far
larger than the sequences, so these are what is kept.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from pte.schema import Interactions, Split

SEQUENCES = "sequences.npz"


def first() -> bool:
    """Whether this is the process that writes, of a group or alone."""
    return os.environ.get("RANK", "0") == "0"


def sequences(interactions: Interactions, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The training rows' items (R,), and where each user's begin, (S+1,); users without any have none."""
    item = interactions.item[split.train].astype(np.int64)
    size = np.bincount(interactions.user[split.train], minlength=interactions.num_users)
    return item, np.concatenate([[0], np.cumsum(size[size > 0])]).astype(np.int64)


def write(interactions: Interactions, split: Split, out: Path) -> dict[str, int]:
    """Write sequences.npz; returns how many sequences and rows are in it."""
    item, start = sequences(interactions, split)
    np.savez(out / SEQUENCES, item=item, start=start)
    return {"sequences": len(start) - 1, "rows": len(item)}


def keep(interactions: Interactions, split: Split, out: Path) -> dict[str, Any]:
    """Write sequences.npz and facts.json, which it returns."""
    facts = {"trained": False, "parameters": 0, **write(interactions, split, out)}
    (out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return facts


def count(backbone: Any, path: Path) -> None:
    """Fit a backbone to the sequences kept in `path`, on the device it lies on."""
    with np.load(path / SEQUENCES, allow_pickle=False) as file:
        backbone.fit(file["item"], file["start"])
