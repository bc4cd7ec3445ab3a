"""From stored ranks to the flat figures of metrics.json, in numpy: any cut-off, any group, with no model at hand.

A group is a boolean mask over the cases. A group without cases has no mean: only its n = 0 is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

NAMES = ("Hit", "Recall", "NDCG", "MRR")
KS = (5, 10, 20, 50)
MISS = 2**31 - 1  # the rank of a target that is no candidate: beyond every cut-off, and an int32
LLM_ESR = "llm_esr_"  # of groups by LLM-ESR's thresholds


def values(name: str, rank: np.ndarray, k: int) -> np.ndarray:
    """One metric per case, (C,) float64, from 0-based ranks (C,): the numbers that paired tests compare."""
    hit = (rank < k).astype(np.float64)
    match name:
        case "Hit" | "Recall":
            return hit
        case "NDCG":
            return hit / np.log2(rank + 2.0)
        case "MRR":
            return hit / (rank + 1.0)
    raise ValueError(f"unknown metric {name!r}; known: {', '.join(NAMES)}")


def summarise(
    ranks: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], ks: Sequence[int] = KS
) -> dict[str, float]:
    """{"masked/tail_items/NDCG@10": mean, ..., "masked/tail_items/n": cases} for every kind of rank and every group.

    ranks: by kind ("masked", "unmasked"), (C,) int; groups: by name ("all", "tail_items", ...), (C,) bool.
    """
    flat: dict[str, float] = {}
    for kind, rank in ranks.items():
        per_case = {f"{name}@{k}": values(name, rank, k) for name in NAMES for k in ks}
        for group, member in groups.items():
            flat[f"{kind}/{group}/n"] = int(member.sum())
            if member.any():
                flat.update({f"{kind}/{group}/{metric}": float(v[member].mean()) for metric, v in per_case.items()})
    return flat


def groups(case: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups that figures are given for, (C,) bool by name, from what is known of each case.

    case: (C,) arrays `user`, `head_item`, `head_user`, `tied`, KeyError without one of them; "untied" is a group where
    some targets' order is a convention. With `llm_esr_head_item` or `llm_esr_head_user` LLM-ESR's groups are there too.
    """
    named = {"all": np.ones(len(case["user"]), bool)}
    if case["tied"].any():
        named["untied"] = ~case["tied"].astype(bool)
    heads = [f"{prefix}head_{side}" for prefix in ("", LLM_ESR) for side in ("item", "user")]
    for name in heads:
        if name in case or not name.startswith(LLM_ESR):  # the usual groups are always there
            head = case[name].astype(bool)
            named |= {f"{name}s": head, f"{name.replace('head', 'tail')}s": ~head}
    return named


def check_invariants(flat: Mapping[str, float], slack: float = 1e-9) -> None:
    """Hit >= NDCG >= MRR at every k, and none of them falls as k grows: true of any ranking with one target per case.

    A published table that breaks it was not computed from one ranking. Raises AssertionError with the first offender.
    """
    by_metric: dict[tuple[str, str], dict[int, float]] = {}
    for key, value in flat.items():
        prefix, _, leaf = key.rpartition("/")
        name, _, k = leaf.partition("@")
        if k:
            by_metric.setdefault((prefix, name), {})[int(k)] = value
    for (prefix, name), at_k in by_metric.items():
        ks = sorted(at_k)
        for small, large in pairwise(ks):
            assert at_k[small] <= at_k[large] + slack, f"{prefix}/{name} falls from @{small} to @{large}"
        above = {"NDCG": "Hit", "MRR": "NDCG"}.get(name, name)
        for at, bound in by_metric.get((prefix, above), {}).items():
            assert at_k.get(at, bound) <= bound + slack, f"{prefix}: {name}@{at} exceeds {above}@{at}"
