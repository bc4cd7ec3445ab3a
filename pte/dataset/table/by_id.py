"""Rows of a file that name users or items by the data's own ids -> places in the catalogue, with every miss counted.

An entity without a row and a row without an entity are counted apart: the first means holes in what is imported, the
second may mean no more than a file made for a larger catalogue, or ids of another kind. Each is refused beyond a share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pte.schema import InputError, require


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest shares that pass. group: the config group whose `missing_share` and `unknown_share` these are."""

    group: str
    missing_share: float  # of the entities
    unknown_share: float  # of the file's distinct ids

    def __post_init__(self) -> None:
        for name in ("missing_share", "unknown_share"):
            share = getattr(self, name)
            require(0 <= share <= 1, f"{self.group}.{name}", share, "give a share, 0 to 1")


@dataclass(frozen=True)
class Match:
    """Where rows belong."""

    place: np.ndarray  # (R,) number of the entity in `known`, -1 where it has none of this id
    missing: int  # entities without a row
    unknown: int  # distinct ids that no entity has

    def summary(self, noun: str, total: int) -> str:
        return f"{total - self.missing:,} of {total:,} {noun}s found, {self.unknown:,} ids of the file unknown"


def match(ids: Sequence[str], entity_id: Sequence[str], *, noun: str, file: str, tolerance: Tolerance) -> Match:
    """Find every id among the known ones; InputError where more are missing or unknown than is tolerated."""
    number = {name: i for i, name in enumerate(entity_id)}
    place = np.array([number.get(name, -1) for name in ids], np.int64)
    matched = {name for name, at in zip(ids, place.tolist(), strict=True) if at >= 0}
    unknown = dict.fromkeys(name for name in ids if name not in matched)
    missing = [name for name in entity_id if name not in matched]
    group, distinct = tolerance.group, len(matched) + len(unknown)
    for kind, some, share, limit in (
        ("missing", missing, len(missing) / max(len(entity_id), 1), tolerance.missing_share),
        ("unknown", list(unknown), len(unknown) / max(distinct, 1), tolerance.unknown_share),
    ):
        if share > limit:
            fault = f"{noun}s of the data are missing from it" if kind == "missing" else f"ids in it are no {noun}s"
            total = len(entity_id) if kind == "missing" else distinct
            raise InputError(
                f"{group}.file={file}: {len(some):,} of {total:,} {fault}, such as {some[0]!r}; more than"
                f" {group}.{kind}_share={limit}. The data's ids look like {entity_id[0]!r}: give these, or"
                f" {group}.{kind}_share={min(1.0, np.ceil(share * 100) / 100):g}"
            )
    return Match(place, len(missing), len(unknown))
