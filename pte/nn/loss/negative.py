"""Negatives: items drawn against a target, never the target itself nor, where excluded, an item of its history.

Drawing from all items but a sorted set s_0 < s_1 < ... needs no rejection: the u-th item outside it, u = 0, 1, ..., is

    v = u + 1 + #{k : s_k - 1 - k <= u}

since s_k - 1 - k counts the items below s_k that are outside the set. One binary search draws for all targets at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pte.nn.all_gather import others
from pte.nn.kernel.place_noise import PlaceNoise
from pte.nn.noise import Generator


@dataclass(frozen=True)
class Exclusion:
    """Exclusion mask of T targets, sparse: a set of items per owner, never drawn against the targets of that owner."""

    owner: Tensor  # (T,) int64 in 0..O-1
    of: Tensor  # (E,) int64, non-decreasing: whose set each entry belongs to
    item: Tensor  # (E,) int64, increasing within a set
    first: Tensor  # (O+1,) int64: the set of owner o is the entries first[o]:first[o+1]

    @classmethod
    def targets(cls, target: Tensor) -> Exclusion:
        """Excludes the target alone."""
        own = torch.arange(len(target) + 1, device=target.device)
        return cls(own[:-1], own[:-1], target, own)

    @classmethod
    def histories(cls, item: Tensor, segment: Tensor, target: Tensor) -> Exclusion:
        """Excludes the whole window of each target, later items too, of packed rows (R, L); T = places with a target.

        The inputs and the targets of a window together are all of its items.
        """
        row = torch.arange(len(segment), device=segment.device)[:, None]
        position = target > 0
        _, owner = (row * (segment.shape[1] + 1) + segment)[position].unique(return_inverse=True)
        span = torch.maximum(item.amax(), target.amax()) + 1
        key = torch.cat([owner * span + item[position], owner * span + target[position]]).unique()
        of = key // span
        owners = torch.arange(int(owner.amax()) + 2 if len(owner) else 1, device=owner.device)
        return cls(owner, of, key % span, torch.searchsorted(of, owners))

    def contains(self, negatives: Tensor) -> Tensor:
        """(T, K) bool: which of the shared negatives (K,) each target excludes."""
        entry, k = (self.item[:, None] == negatives).nonzero(as_tuple=True)
        table = torch.zeros(len(self.first) - 1, len(negatives), dtype=torch.bool, device=negatives.device)
        table[self.of[entry], k] = True
        return table[self.owner]


@dataclass(frozen=True)
class Negatives:
    """K negatives that T targets share, or K for each."""

    item: Tensor  # (K,) or (T, K) int64
    q: Tensor  # (K,) or (T, 1): the probability of each to be drawn
    void: Tensor  # (T, K) bool: not to be counted against the target


def draw(
    exclusion: Exclusion,
    target: Tensor,
    count: int,
    num_items: int,
    uniform: float | None,
    generator: Generator,
) -> Negatives:
    """Negatives that all targets of the step share, a share `uniform` of them from the whole catalogue; or, where that
    is None, negatives of each target's own, drawn outside its set.
    """
    if uniform is not None:
        common = generator.common if isinstance(generator, PlaceNoise) else generator
        pool = torch.cat([target, *others(target)]) if uniform < 1 else target
        item, q = batch_negatives(pool.sort().values, count, num_items, uniform, common)
        return Negatives(item, q, exclusion.contains(item))
    item = negatives(exclusion, count, num_items, generator)
    left = num_items - exclusion.first.diff()[exclusion.owner, None]
    return Negatives(item, 1 / left.clamp(min=1).float(), item == 0)


def negatives(exclusion: Exclusion, count: int, num_items: int, generator: Generator) -> Tensor:
    """(T, K) items drawn uniformly, with replacement, outside each target's set; 0 where the set holds all items."""
    span = num_items + 1
    left = (num_items - exclusion.first.diff())[exclusion.owner, None]
    shape = (len(exclusion.owner), count)
    if isinstance(generator, PlaceNoise):
        drawn = generator.words(count) & (2**62 - 1)
    else:
        drawn = torch.randint(2**62, shape, generator=generator, device=exclusion.owner.device)
    u = drawn % left.clamp(min=1)
    rank = torch.arange(len(exclusion.item), device=exclusion.item.device) - exclusion.first[exclusion.of]
    below = exclusion.of * span + exclusion.item - 1 - rank  # items below s_k outside the set; sorted, set after set
    passed = (
        torch.searchsorted(below, exclusion.owner[:, None] * span + u, right=True)
        - exclusion.first[exclusion.owner, None]
    )
    return torch.where(left > 0, u + 1 + passed, 0)


def batch_negatives(
    target: Tensor, count: int, num_items: int, uniform: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """K negatives that all targets share, and the probability Q of each, (K,) int64 and (K,) float32.

    Q_j = uniform / N  +  (1 - uniform) #{t : y_t = j} / T: from the catalogue or from the step's targets.
    """
    device = target.device
    everywhere = torch.randint(1, num_items + 1, (count,), generator=generator, device=device)
    if uniform == 1 or not len(target):  # none: a process without targets in this step, whose negatives serve no loss
        return everywhere, torch.full((count,), 1 / num_items, device=device)
    here = target[torch.randint(len(target), (count,), generator=generator, device=device)]
    sample = torch.where(torch.rand(count, generator=generator, device=device) < uniform, everywhere, here)
    ordered = target.sort().values  # counting by search: a histogram would be as long as the catalogue
    count_of = torch.searchsorted(ordered, sample, right=True) - torch.searchsorted(ordered, sample)
    return sample, uniform / num_items + (1 - uniform) * count_of.float() / len(target)
