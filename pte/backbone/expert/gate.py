"""Gates over experts, fitted by a conditional logit on cases that no expert was fitted on (nn/statistic/logit).

    score(h, j) = sum_e g_e(h) score_e(h, j),   g_e(h) = a_e + b_e log(length of h)

a and b maximise the likelihood of the targets in the softmax over each expert's best unseen candidates ("Stacked
generalization", Wolpert, 1992), under a ridge towards fixed gates, which holds where cases are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pte.nn.batch import History
from pte.nn.statistic import logit
from pte.schema import InputError

# Where few rows are left to fit on, the gates stay near these; ours: constants that did best on Toys' validation users.
PRIOR = {"reader": 1.0, "likeness": 6.0, "memory": 6.0, "carried": 0.0, "profile": 0.0}
PRIOR_WEIGHT = 0.5  # ridge towards them, shared by all cases: a tenth of a likeness's curvature at 100 cases
RIDGE = 1e-6  # per case, however many
FEW = 50  # cases for each number beside the gates themselves; with fewer, such numbers stay 0


@dataclass(frozen=True)
class Gates:
    """Fitted gates (experts, 2) float64: a_e, b_e; on how many choices, with which mean log-likelihood."""

    value: Tensor
    item: Tensor  # (P,) float64: weights of items' own features
    choices: int
    log_likelihood: float


def log_length(history: History) -> Tensor:
    """(B,) natural logarithm of how many items are read, at least 1."""
    return history.length.float().log()


def choices(
    scores: Iterable[Tensor],
    history: History,
    target: Tensor,
    exclusion: Tensor,
    *,
    candidates: int,
    slopes: bool,
    item: Tensor | None = None,
) -> logit.Choices:
    """The experts' scores (B, N) each, of the best candidates of each: features (experts, B', C) of the B' cases whose
    target is one of them. item: (P, N), P further features, of items. slopes: the scores times the history's log length
    as well, last. exclusion: (B, S).
    """
    scores = list(scores)
    num_items = scores[0].shape[1]
    excluded = torch.zeros(len(target), num_items + 1, dtype=torch.bool, device=target.device)
    excluded = excluded.scatter_(1, exclusion, True)[:, 1:]
    scores = [score.masked_fill(excluded, -torch.inf) for score in scores]
    best = min(candidates, num_items)
    column = torch.cat([score.topk(best, dim=1).indices for score in scores], dim=1).sort(dim=1).values
    absent = excluded.gather(1, column)
    absent[:, 1:] |= column[:, 1:] == column[:, :-1]  # several experts' candidate is one candidate
    own = (column == target[:, None] - 1) & ~absent
    row = own.any(dim=1).nonzero()[:, 0]
    features = torch.stack([score[row].gather(1, column[row]).masked_fill(absent[row], 0.0) for score in scores])
    parts = [features, *([] if item is None else [item[:, column[row]]])]
    if slopes:
        parts.append(features * log_length(history)[row, None])
    features = torch.cat(parts)
    return logit.Choices(features, own[row].int().argmax(dim=1), absent[row])


def fit(parts: Sequence[logit.Choices], fixed: Sequence[float], *, slopes: bool) -> Gates:
    """Gates from choices, near `fixed` where these are few, and then without slopes or weights of items."""
    count = sum(len(choice.target) for choice in parts)
    if count == 0:
        raise InputError("backbone=fused: no training row is left to fit its gates on; take another backbone")
    experts = len(fixed)
    width = len(parts[0].feature) - experts * slopes  # of experts and items
    used = torch.arange(len(parts[0].feature)) < experts
    used[experts:width] = count >= FEW * (width - experts)
    used[width:] = count >= FEW * experts
    parts = [replace(choice, feature=choice.feature[used]) for choice in parts]
    prior = torch.zeros(len(used), dtype=torch.float64)
    prior[:experts] = torch.tensor(fixed, dtype=torch.float64)
    ridge = RIDGE + PRIOR_WEIGHT / count
    theta, likelihood = logit.fit(lambda: parts, int(used.sum()), ridge=ridge, prior=prior[used])
    whole = torch.zeros(len(used), dtype=torch.float64).masked_scatter(used, theta)
    slope = whole[width:] if slopes else torch.zeros(experts, dtype=torch.float64)
    return Gates(torch.stack([whole[:experts], slope], 1), whole[experts:width], count, likelihood)
