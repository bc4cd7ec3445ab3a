"""A user's own profile against the items': score_j = cos(p_u, z_j), p and z whitened alike, of unit length.

What is written of a user knows the user's visible training rows, so nothing may be fitted on those with it: this expert
is fitted on nothing, and its gate on rows that no text states (protocol/withhold). A user without a text, or nobody in
the data, has a score of 0 for all items.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.batch import History
from pte.nn.item_table import padded
from pte.nn.statistic.whitening import axes, axis_count
from pte.schema import InputError

KNOB = "backbone.profile"


class Profile(nn.Module):
    """Cosine of an item's text with a user's."""

    user: Tensor  # (U+1, d) unit rows or zeros; the last row stands for nobody
    item: Tensor  # (N+1, d) unit rows, row 0 zeros

    def __init__(self, user: Tensor | None, item: Tensor, *, components: int | None, eps: float) -> None:
        """user: (U, D) and item: (N, D) text vectors; axes and variances are the items'. InputError without users'."""
        super().__init__()
        if user is None or not (user.is_meta or user.any()):
            raise InputError(
                "backbone.experts names profile, but users have no text vectors: take a profiler that writes of users"
                " (profiler=template, openai or transformers) and an encoder that reads texts"
            )
        width = axis_count(item, components, KNOB)
        own = axes(item)
        rows = F.normalize(own.whiten(user, width, eps, KNOB).float(), dim=1)
        rows = torch.where(user.any(dim=1, keepdim=True).to(rows.device), rows, 0.0)
        self.register_buffer("user", torch.cat([rows, rows.new_zeros(1, width)]), persistent=False)
        directions = padded(F.normalize(own.whiten(item, width, eps, KNOB).float(), dim=1))
        self.register_buffer("item", directions, persistent=False)

    def score(self, history: History, decay: float = 1.0) -> Tensor:
        """(B, N) in -1..1, whatever the decay: a text has no order of time."""
        nobody = history.user is None
        user = self.user[-1].expand(len(history.item), -1) if nobody else self.user[history.user]
        return (self.item[1:] @ user.T).T

    def add_(self, scores: Tensor, history: History, gates: Tensor, decays: Sequence[float] = (1.0,)) -> None:
        """scores (B, N) += gates (1, B) times `score`, in place."""
        scores.addcmul_(gates[0, :, None], self.score(history))
