"""Which rows stay: iterated k-core, short users, and the cut to a demonstration's size; functions of index arrays."""

from __future__ import annotations

import numpy as np

from pte.dataset.rules import Rules


def row_mask(user: np.ndarray, item: np.ndarray, rules: Rules, counts: dict[str, int]) -> tuple[np.ndarray, str | None]:
    """(M,) bool rows that stay under k-core, min_length and the cut, and the cut in words."""
    keep = np.ones(len(user), bool)
    if rules.k_core > 1:
        keep = k_core(user, item, rules.k_core)
        counts[f"rows outside the {rules.k_core}-core dropped"] = int((~keep).sum())
    if rules.min_length > 1:
        short = _counts(user, keep) < rules.min_length
        counts["users shorter than min_length dropped"] = int((short & (_counts(user, keep) > 0)).sum())
        counts["rows of users shorter than min_length dropped"] = int((keep & short[user]).sum())
        keep &= ~short[user]
    if rules.max_items is None and rules.max_users is None:
        return keep, None
    users, items = int((_counts(user, keep) > 0).sum()), int((_counts(item, keep) > 0).sum())
    before = int(keep.sum())
    keep = cut(user, item, keep, rules)
    counts["rows outside the cut dropped"] = before - int(keep.sum())
    parts = [f"the {rules.max_items:,} most interacted of {items:,} items"] if rules.max_items else []
    if rules.max_users:
        parts.append(f"{rules.max_users:,} of {users:,} users, drawn with seed {rules.cut_seed}")
    sentence = f"only {' and '.join(parts)}; every user with at least {rules.cut_length} interactions left"
    return keep, sentence


def k_core(user: np.ndarray, item: np.ndarray, k: int) -> np.ndarray:
    """(M,) bool: the largest set of rows in which every user and every item occurs at least k times."""
    keep = np.ones(len(user), bool)
    while True:
        inside = keep & (_counts(user, keep) >= k)[user] & (_counts(item, keep) >= k)[item]
        if (inside == keep).all():
            return keep
        keep = inside


def cut(user: np.ndarray, item: np.ndarray, keep: np.ndarray, rules: Rules) -> np.ndarray:
    """The most interacted items (of equals the smaller id), then a seeded choice of users with enough rows left."""
    if rules.max_items is not None:
        popular = np.argsort(-_counts(item, keep), kind="stable")[: rules.max_items]
        keep = keep & np.isin(item, popular)
    enough = np.flatnonzero(_counts(user, keep) >= rules.cut_length)
    if rules.max_users is not None and len(enough) > rules.max_users:
        enough = np.random.default_rng(rules.cut_seed).choice(enough, rules.max_users, replace=False)
    return keep & np.isin(user, enough)


def _counts(index: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return np.bincount(index[keep], minlength=int(index.max()) + 1)
