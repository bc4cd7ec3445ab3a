"""How much more, or less, an item is worth for standing in the history: one number r, added to such items' scores.

Likeness and memory put what a user already has first; whether users come back to it is a property of the data. With
A_b and B_b the log-sum-exp of case b's best candidates outside and of the items inside its history, r solves

    mean_b sigmoid(B_b + r - A_b) = s / (s + (1 - s) c)

s: the share of users' last training rows that repeat an earlier one; c: the share of the other targets that are among
those candidates. It is the likelihood equation of a conditional logit with the indicator "stands in the history" for
its only free feature, over the cases whose target it can choose: all that repeat, and of the others only the part c. A
ranking that leaves out the history does not see r.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pte.nn.batch import History

LARGEST = 60.0  # of |r|: e^60 is further than any two scores


def repeat_share(item: np.ndarray, start: np.ndarray) -> float:
    """How many of the sequences' last rows repeat an earlier item of theirs: sequence s is item[start[s]:start[s+1]].

    The share of all rows after a sequence's first, (n + 1/2) / (rows + 1), times how much more often a last row repeats
    (histories have grown by then), as far as there are repeats to tell: one is added to both counts.
    """
    number = len(start) - 1
    sequence = np.repeat(np.arange(number), np.diff(start)).astype(np.int64)
    _, first = np.unique(sequence * (int(item.max(initial=0)) + 1) + item, return_index=True)
    repeats = np.ones(len(item), bool)
    repeats[first] = False
    share = (repeats.sum() + 0.5) / (len(item) - number + 1)
    more = (repeats[start[1:] - 1].sum() + 1) / ((np.diff(start) > 1).sum() * share + 1)
    return float(min(share * more, 1 - 0.5 / (number + 1)))


def places(history: History) -> Tensor:
    """(B, L) columns of the history's items; padding stands for the first of them."""
    return torch.where(history.item > 0, history.item, history.item[:, :1]) - 1


def odds(score: Tensor, history: History, candidates: int) -> Tensor:
    """(B,) float64 B_b - A_b of scores (B, N); inf where the history is the whole catalogue."""
    inside = torch.zeros_like(score, dtype=torch.bool).scatter_(1, places(history), True)
    outside = score.masked_fill(inside, -torch.inf).topk(min(candidates, score.shape[1]), dim=1).values
    own = score.masked_fill(~inside, -torch.inf)
    return own.double().logsumexp(dim=1) - outside.double().logsumexp(dim=1)


def is_candidate(score: Tensor, history: History, target: Tensor, candidates: int) -> Tensor:
    """(B,) bool: `target` (B,) is one of the best candidates outside the history, of scores (B, N)."""
    outside = score.scatter(1, places(history), -torch.inf)
    return (outside > outside.gather(1, target[:, None] - 1)).sum(dim=1) < candidates


def offset(log_odds: Tensor, share: float) -> float:
    """r of cases (B,), by bisection: the mean rises with r."""
    low, high = -LARGEST, LARGEST
    for _ in range(60):
        middle = (low + high) / 2
        if float(torch.sigmoid(log_odds + middle).mean()) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
