"""BERT4Rec: bidirectional self-attention over the history, trained by filling in masked items (Cloze).

Sun et al., CIKM 2019 (arXiv 1904.06690). In training a share rho of a history's places is replaced by the vector
[mask], and the items that were there are predicted (Eq. 8); at test [mask] is put behind the history, and its state
ranks the catalogue. A state h is read out as GELU(h W + b) . e_j (Eq. 7), without the paper's bias per item.

Training histories hold their last item too, so a row has one place more than inputs. Departures: masks are drawn anew
in every step instead of ten times beforehand, and where chance masks no place of a history its last one is masked, the
case that is scored at test. Any loss of nn/loss goes with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pte.backbone.sasrec import SASRec
from pte.nn.all_gather import summed
from pte.nn.batch import History, PackedBatch
from pte.nn.contract import Representation
from pte.nn.kernel.chunked_scoring import encoded
from pte.nn.kernel.place_noise import current, place_noise
from pte.nn.loss.negative import Exclusion
from pte.nn.noise import uniform
from pte.nn.sequence.attention import normal_weights
from pte.nn.sequence.encoder import rows_of
from pte.schema import InputError


class BERT4Rec(SASRec):
    """SASRec's transformer without its causal mask; score_j = GELU(h W + b) . e_j, h the state behind the history."""

    def __init__(self, *, representation: Representation, length: int, mask: float, **sasrec: Any) -> None:
        """mask: rho; the rest: SASRec's own knobs."""
        if not 0 < mask < 1:
            raise InputError(f"backbone.mask={mask}: give a share of the places between 0 and 1 (Sun et al.: 0.2)")
        if representation.sparse:
            raise InputError("representation.sparse=true does not go with backbone=bert4rec: take false")
        super().__init__(representation=representation, length=length + 1, **sasrec)  # a place more, for the mask
        width = representation.width
        self.length, self.share = length, mask
        self.masked = nn.Parameter(torch.zeros(width))  # the vector of [mask]
        self.out = nn.Linear(width, width)
        normal_weights(self.out, 0.02)

    def loss(self, batch: PackedBatch) -> dict[str, Tensor]:
        """The mean over the step's masked places counts for each of its targets, so that processes add up."""
        table = self.representation.table()
        item, row, place = whole(batch)
        noise = None
        if (step := current()) is not None:
            sequence = step.sequence[(batch.segment > 0) & (batch.position == 0)]
            noise = step.of(F.pad(sequence, (0, len(item) - len(sequence))), item.shape[1])  # no history: a row of none
        mask = cloze(item, uniform((*item.shape, 1), noise, item.device)[..., 0], self.share)
        with place_noise(noise):
            hidden = self._states(self.representation.inputs(table), item, mask)
        target = item.where(mask, 0)
        exclusion = None
        if self.objective.exclude_history:  # the histories whose inputs are all their items
            exclusion = Exclusion.histories(item, (item > 0).long(), item)
            exclusion = replace(exclusion, owner=exclusion.owner[mask[item > 0]])
        masked, targets = summed(torch.stack([mask.sum(), (batch.target > 0).sum()])).tolist()
        loss = self.objective(
            self._read_out(hidden[mask]),
            table,
            target[mask],
            total=batch.total * masked / max(targets, 1),
            exclusion=exclusion,
            generator=noise and noise.at(mask),
        )
        state = hidden.new_zeros(*batch.item.shape, hidden.shape[-1])
        state[batch.segment > 0] = hidden[row, place]
        own = self.representation.sequence_auxiliary(batch, state, lambda i, n: self._last(table, i, n))
        return {"loss": loss + self.representation.auxiliary() + (0 if own is None else own)}

    def _vectors(self, history: History) -> tuple[Tensor, Tensor]:
        """(B, D) and (N, D), whose inner products are the scores."""
        table = self.representation.table()
        states = encoded(lambda item, length: self._last(table, item, length), history)
        return self.objective.vectors(self._read_out(states), table)

    def _last(self, table: Tensor, item: Tensor, length: Tensor) -> Tensor:
        """The state of the mask behind right-padded histories (B, L) of lengths (B,): (B, D)."""
        row = torch.arange(len(item), device=item.device)
        behind = F.pad(item, (0, 1))
        mask = torch.zeros_like(behind, dtype=torch.bool)
        behind[row, length], mask[row, length] = 1, True  # any item: the mask stands for it
        noise = current()
        with place_noise(noise and noise.padded(behind.shape[1])):
            return self._states(table, behind, mask)[row, length]

    def _states(self, table: Tensor, item: Tensor, mask: Tensor) -> Tensor:
        """(S, L, D) states of right-padded items (S, L), those of `mask` places masked."""
        x = F.embedding(item, table, padding_idx=0)
        x = torch.where(mask[..., None], self.masked.to(x.dtype), x)
        real = item > 0
        attention = (real[:, None, :] == real[:, :, None])[:, None]  # padding looks at padding: no softmax is empty
        return self.encoder(x, torch.arange(item.shape[1], device=item.device), attention, self.representation.mix)

    def _read_out(self, hidden: Tensor) -> Tensor:
        return F.gelu(self.out(hidden))


def whole(batch: PackedBatch) -> tuple[Tensor, Tensor, Tensor]:
    """All items of every history, inputs and last target, (S, longest + 1), right-padded with 0; and for each packed
    input, row by row, its history's row and its place there.
    """
    real = batch.segment > 0
    row, place = rows_of(batch.position)[real], batch.position[real]
    row = row.unique(return_inverse=True)[1]
    size = (int(row.max()) + 1, int(place.max()) + 2) if len(row) else (1, 2)
    item = batch.item.new_zeros(size)
    item[row, place + 1] = batch.target[real]
    item[row, place] = batch.item[real]
    return item, row, place


def cloze(item: Tensor, uniform: Tensor, share: float) -> Tensor:
    """(S, L) bool: the places to mask, those whose uniform number is below the share; of a history with none the last.

    item: (S, L) right-padded; uniform: (S, L) in [0, 1).
    """
    real = item > 0
    mask = real & (uniform < share)
    none = real.any(1) & ~mask.any(1)
    mask[none, real.sum(1)[none] - 1] = True
    return mask
