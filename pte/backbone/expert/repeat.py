"""How much more, or less, an item is worth for standing in the history: one number r, added to such items' scores.

Likeness and memory put what a user already has first; whether users come back to it is a property of the data. With
A_b and B_b the log-sum-exp of case b's best candidates outside and of the items inside its history, r solves

    mean_b sigmoid(B_b + r - A_b) = share of training rows that repeat an earlier one of the same user

which is the likelihood equation of a conditional logit with the indicator "stands in the history" for its only free
feature. A ranking that leaves out the history does not see it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pte.nn.batch import History

LARGEST = 60.0  # of |r|: e^60 is further than any two scores


def repeat_share(item: np.ndarray, start: np.ndarray) -> float:
    """Of the rows after each sequence's first, how many repeat an earlier item of it: (n + 1/2) / (rows + 1)."""
    sequence = np.repeat(np.arange(len(start) - 1), np.diff(start)).astype(np.int64)
    pairs = sequence * (int(item.max(initial=0)) + 1) + item
    later = len(item) - (len(start) - 1)
    return (len(item) - len(np.unique(pairs)) + 0.5) / (later + 1)


def places(history: History) -> Tensor:
    """(B, L) columns of the history's items; padding stands for the first of them."""
    return torch.where(history.item > 0, history.item, history.item[:, :1]) - 1


def odds(score: Tensor, history: History, candidates: int) -> Tensor:
    """(B,) float64 B_b - A_b of scores (B, N); inf where the history is the whole catalogue."""
    inside = torch.zeros_like(score, dtype=torch.bool).scatter_(1, places(history), True)
    outside = score.masked_fill(inside, -torch.inf).topk(min(candidates, score.shape[1]), dim=1).values
    own = score.masked_fill(~inside, -torch.inf)
    return own.double().logsumexp(dim=1) - outside.double().logsumexp(dim=1)


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
