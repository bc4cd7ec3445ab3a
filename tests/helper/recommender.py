"""Shared by tests: Counting."""

import torch
from torch import nn


class Counting(nn.Module):
    """Scores are one trained vector; its loss is the squared distance from the share of each target in the step."""

    length = 4

    def __init__(self, num_items):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(num_items))
        self.totals, self.draws = [], []

    def loss(self, batch):
        self.totals.append(batch.total)
        self.draws.append(torch.rand(()).item())
        target = batch.target[batch.target > 0] - 1
        return {"loss": (self.scores.square().sum() * len(target) / 2 - self.scores[target].sum()) / batch.total}

    def score(self, history, *, noise):
        self.first_draw = noise.normal((len(history.item),))[0].item()
        return self.scores.expand(len(history.item), -1)

    def score_parts(self, history, *, noise):
        yield self.score(history, noise=noise)
