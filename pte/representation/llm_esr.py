"""LLM-ESR: a semantic and a collaborative view of every history, and self-distillation between similar users.

Liu et al., NeurIPS 2024 (arXiv 2405.20646):

    semantic view        s_i = W_2 (W_1 L_i + b_1) + b_2, L frozen, d_l -> d_l / 2 -> D / 2, nothing in between
    collaborative view   c_i trainable, starts at the first D / 2 principal components of L
    fusion               each view is replaced by what the other asks of it: attention with K = V from the view and Q
                         from the other, both ways; one encoder for both; states and item vectors are the two side by
                         side
    self-distillation    alpha * mean_u mean_D ( h_u - mean_{v in N(u)} h_v )^2, no gradient into h_v; h_u the state
                         after u's last training input, N(u) the users whose texts are nearest to u's by cosine

Departures, the first two from the authors' code: the causal mask stays on, in the fusion too (there it is commented
out, so that a training position attends to its own target); the backbone's loss replaces BCE with one negative. A
user's text vector is the mean of the vectors of the user's training items (there an LLM's embedding of their titles).
Views are normalised before they are fused, as the backbone does with all inputs (there times the root of the width).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.nn.batch import PackedBatch
from pte.nn.item_table import ItemTable, Last, fitting, item_rows, padded
from pte.nn.kernel.place_noise import current, place_noise
from pte.nn.sequence.cross_attention import CrossAttention
from pte.nn.statistic.neighbor import mean_by_sequence, nearest
from pte.nn.statistic.whitening import axes
from pte.schema import InputError, require

_GROUPS = 8  # padded to one length, the teachers of a step are mostly padding; ours: 8 take a quarter of the time of 1


class LlmEsr(ItemTable):
    """[c_i, s_i]; half of the width is free per item.

    cross_attention: False leaves the views as they are; "residual" (ours) adds what the other view asks of it
    to a view, instead of replacing it. neighbors: size of N(u). pool: at most that many users are searched for N(u),
    evenly spaced over all of them.
    """

    uses_text = True
    views = 2
    text: Tensor
    similar: Tensor | None  # (S, k) int64, N(u) of every training history
    item: Tensor
    begin: Tensor
    length: Tensor
    history: Tensor  # (W,) int64, which of them each training sequence is a window of

    def __init__(
        self,
        *,
        num_items: int,
        vectors: Tensor | None,
        width: int,
        cross_attention: bool | str,
        heads: int,
        alpha: float,
        neighbors: int,
        pool: int,
    ) -> None:
        super().__init__()
        if width % 2:
            raise InputError(f"representation.width={width}: llm_esr has two views of equal width, so it must be even")
        if cross_attention not in (True, False, "residual"):
            raise InputError(f"representation.cross_attention={cross_attention}: it is true, false or residual")
        rows = item_rows(vectors, num_items, "llm_esr")
        self.width, self.alpha, self.neighbors, self.pool = width, alpha, neighbors, pool
        half = fitting(width // 2, rows, "llm_esr")
        if heads < 1 or half % heads:
            raise InputError(f"representation.heads={heads} does not divide {half}, half of the width {width}")
        require(alpha >= 0, "representation.alpha", alpha, "the weight of a loss, 0 or more")
        if alpha > 0 and (neighbors < 1 or pool < 2):
            raise InputError(
                f"representation.neighbors={neighbors} of representation.pool={pool}: self-distillation takes at"
                " least one neighbour of at least two users; representation.alpha=0 does without"
            )
        self.register_buffer("text", rows, persistent=False)
        self.collaborative = nn.Parameter(axes(rows).project(rows, half).to(rows))
        self.adapt = nn.Sequential(nn.Linear(rows.shape[1], rows.shape[1] // 2), nn.Linear(rows.shape[1] // 2, half))
        self.asks_semantic = CrossAttention(width=half, heads=heads) if cross_attention else None
        self.asks_collaborative = CrossAttention(width=half, heads=heads) if cross_attention else None
        self.residual = cross_attention == "residual"
        for name in ("similar", "item", "begin", "length", "history"):
            self.register_buffer(name, None, persistent=False)

    @property
    def free_per_item(self) -> int:
        return self.width // 2

    def table(self) -> Tensor:
        return padded(torch.cat([self.collaborative, self.adapt(self.text)], dim=1))

    def mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.asks_semantic is None or self.asks_collaborative is None:
            return x
        collaborative, semantic = x
        read = torch.stack(
            [
                self.asks_semantic(semantic, collaborative, mask),
                self.asks_collaborative(collaborative, semantic, mask),
            ]
        )
        return x + read if self.residual else read

    def observe(
        self, item: np.ndarray, begin: np.ndarray, length: np.ndarray, history: np.ndarray | None = None
    ) -> None:
        """N(u) of every training history, from training items alone."""
        device = self.text.device
        history = np.arange(len(begin)) if history is None else history
        self.item, self.begin, self.length, self.history = (
            torch.as_tensor(a, device=device).long() for a in (item, begin, length, history)
        )
        if self.alpha > 0 and len(begin) > 1:
            user = mean_by_sequence(padded(self.text), self.item, self.begin, self.length)
            self.similar = nearest(user, self.neighbors, self.pool)

    def sequence_auxiliary(self, batch: PackedBatch, state: Tensor, last: Last) -> Tensor | None:
        if self.alpha == 0 or not self.training:
            return None
        if self.similar is None or batch.sequence is None:
            raise InputError("representation.alpha > 0 needs at least two training histories, passed to observe()")
        end = batch.last_places()
        if not end.any():
            return None
        sequence = self.history[batch.sequence[end] - 1]  # (n,)
        teacher, student = torch.unique(self.similar[sequence], return_inverse=True)
        target = self._target_states(teacher, state.shape[1], last)[student].mean(dim=1)  # (n, D)
        away = F.mse_loss(state[end].float(), target.float(), reduction="none").mean(dim=1)
        return self.alpha * away.sum() / batch.sequences

    @torch.no_grad()
    def _target_states(self, sequence: Tensor, longest: int, last: Last) -> Tensor:
        """(n, D) states after the training inputs; in groups of like length, since most histories are short."""
        order = self.length[sequence].argsort()
        states = torch.cat([self._teacher(group, longest, last) for group in sequence[order].chunk(_GROUPS)])
        return states[order.argsort()]

    def _teacher(self, sequence: Tensor, longest: int, last: Last) -> Tensor:
        item, size = self._inputs(sequence, longest)
        step = current()
        with place_noise(step and step.of(sequence + 1, item.shape[1])):
            return last(item, size)

    def _inputs(self, sequence: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """All training items but the last, the newest `longest` of them, right-padded (n, l), and their number (n,)."""
        end = self.begin[sequence] + self.length[sequence] - 1
        size = (self.length[sequence] - 1).clamp(max=longest)
        place = torch.arange(int(size.max()), device=size.device)
        inside = place < size[:, None]
        return self.item[torch.where(inside, (end - size)[:, None] + place, 0)] * inside, size
