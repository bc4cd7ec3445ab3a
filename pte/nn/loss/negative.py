"""Negatives: items drawn against a target, never the target itself and, where asked, never one its user has met.

Drawing from all items but a sorted set s_0 < s_1 < ... needs no rejection: the u-th item outside it, u = 0, 1, ..., is

    v = u + 1 + #{k : s_k - 1 - k <= u}

since s_k - 1 - k counts the items below s_k that are outside the set. One binary search draws for all targets at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Met:
    """The items that must not be drawn against each of T targets: a set per owner, and every target has an owner."""

    owner: Tensor  # (T,) int64 in 0..O-1
    of: Tensor  # (E,) int64, non-decreasing: whose set each entry belongs to
    item: Tensor  # (E,) int64, increasing within a set
    first: Tensor  # (O+1,) int64: the set of owner o is the entries first[o]:first[o+1]

    @classmethod
    def targets(cls, target: Tensor) -> Met:
        """Every target for itself: only the target is left out."""
        own = torch.arange(len(target) + 1, device=target.device)
        return cls(own[:-1], own[:-1], target, own)

    @classmethod
    def histories(cls, item: Tensor, segment: Tensor, target: Tensor) -> Met:
        """Every target with the history it stands in, later items included, of packed rows (R, L); T = places asked.

        The inputs and the targets of a history together are all of its items.
        """
        row = torch.arange(len(segment), device=segment.device)[:, None]
        asked = target > 0
        _, owner = (row * (segment.shape[1] + 1) + segment)[asked].unique(return_inverse=True)
        span = torch.maximum(item.amax(), target.amax()) + 1
        key = torch.cat([owner * span + item[asked], owner * span + target[asked]]).unique()
        of = key // span
        owners = torch.arange(int(owner.amax()) + 2 if len(owner) else 1, device=owner.device)
        return cls(owner, of, key % span, torch.searchsorted(of, owners))

    def contains(self, drawn: Tensor) -> Tensor:
        """(T, K) bool: which of the shared negatives (K,) each target must not see."""
        entry, k = (self.item[:, None] == drawn).nonzero(as_tuple=True)
        table = torch.zeros(len(self.first) - 1, len(drawn), dtype=torch.bool, device=drawn.device)
        table[self.of[entry], k] = True
        return table[self.owner]


@dataclass(frozen=True)
class Drawn:
    """K negatives that T targets share, or K for each."""

    item: Tensor  # (K,) or (T, K) int64
    q: Tensor  # (K,) or (T, 1): the probability of each to be drawn
    void: Tensor  # (T, K) bool: not to be counted against the target


def draw(
    met: Met, target: Tensor, count: int, num_items: int, uniform: float | None, generator: torch.Generator | None
) -> Drawn:
    """Negatives that all targets share, a share `uniform` of them from the whole catalogue; or, where that is None,
    negatives of each target's own, drawn outside its set.
    """
    if uniform is not None:
        item, q = batch_negatives(target, count, num_items, uniform, generator)
        return Drawn(item, q, met.contains(item))
    item = negatives(met, count, num_items, generator)
    left = num_items - met.first.diff()[met.owner, None]
    return Drawn(item, 1 / left.clamp(min=1).float(), item == 0)


def negatives(met: Met, count: int, num_items: int, generator: torch.Generator | None) -> Tensor:
    """(T, K) items drawn uniformly, with replacement, outside each target's set; 0 where the set holds all items."""
    span = num_items + 1
    left = (num_items - met.first.diff())[met.owner, None]
    shape = (len(met.owner), count)
    u = torch.randint(2**62, shape, generator=generator, device=met.owner.device) % left.clamp(min=1)
    rank = torch.arange(len(met.item), device=met.item.device) - met.first[met.of]
    below = met.of * span + met.item - 1 - rank  # items below s_k outside the set; sorted, set after set
    passed = torch.searchsorted(below, met.owner[:, None] * span + u, right=True) - met.first[met.owner, None]
    return torch.where(left > 0, u + 1 + passed, 0)


def batch_negatives(
    target: Tensor, count: int, num_items: int, uniform: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """K negatives that all targets share, and the probability Q of each, (K,) int64 and (K,) float32.

    Q_j = uniform / N  +  (1 - uniform) #{t : y_t = j} / T: from the catalogue or from the step's targets.
    """
    device = target.device
    everywhere = torch.randint(1, num_items + 1, (count,), generator=generator, device=device)
    if not len(target):  # a process without targets in this step: nothing will be asked of its negatives
        return everywhere, torch.full((count,), 1 / num_items, device=device)
    here = target[torch.randint(len(target), (count,), generator=generator, device=device)]
    drawn = torch.where(torch.rand(count, generator=generator, device=device) < uniform, everywhere, here)
    ordered = target.sort().values  # counting by search: a histogram would be as long as the catalogue
    count_of = torch.searchsorted(ordered, drawn, right=True) - torch.searchsorted(ordered, drawn)
    return drawn, uniform / num_items + (1 - uniform) * count_of.float() / len(target)
