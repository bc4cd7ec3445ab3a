"""What a reward may see, and what it gives back: a score for each of the K candidates of every user and item.

`RewardData` holds training rows alone: validation and test interactions are not in it, so no reward can read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.schema import Embeddings, Interactions, Profiles, Split


@dataclass(frozen=True)
class SideData:
    """One side, users (n = U) or items (n = N+1, row 0 padding)."""

    candidate: Tensor  # (n, K, d) unit vectors of the candidate profiles
    context: Tensor  # (n, d) what the entity is known by without a profile; zeros where nothing is known
    text: list[list[str]]  # (n, K)
    parsed: Tensor  # (n, K) bool: False where a fallback stands in for an unusable completion


@dataclass(frozen=True)
class RewardData:
    """Candidates of both sides and the R training rows, sorted by user, oldest first."""

    user: SideData
    item: SideData
    row_user: Tensor  # (R,) int64
    row_item: Tensor  # (R,) int64
    visible: Tensor  # (R,) bool: the prompts may have shown this row
    withheld: Tensor  # (R,) bool: the reward may judge by this row; no row is both
    title: list[str]  # (N+1,)

    def parted(self, share: float, generator: torch.Generator) -> tuple[RewardData, RewardData]:
        """The same data with `share` of the withheld rows, drawn at random, and with the rest of them."""
        chance = torch.rand(len(self.withheld), generator=generator).to(self.withheld.device)
        mine, rest = self.withheld & (chance < share), self.withheld & (chance >= share)
        return replace(self, withheld=mine), replace(self, withheld=rest)


@dataclass(frozen=True)
class PartScore:
    """One part of a reward: higher is better, 0 where nothing is known."""

    user: Tensor  # (U, K)
    item: Tensor  # (N+1, K)
    user_known: Tensor  # (U,) bool: False where there was nothing to judge by
    item_known: Tensor  # (N+1,) bool


class Part(Protocol):
    def score(self, data: RewardData, generator: torch.Generator) -> PartScore: ...


@dataclass(frozen=True)
class RewardParts:
    """Every part as it came, and their mixture."""

    part: Mapping[str, PartScore]
    total: PartScore  # known: every part that counts in the mixture is


class Reward(Protocol):
    def score(self, data: RewardData) -> RewardParts: ...


def reward_data(
    interactions: Interactions,
    split: Split,
    profiles: Profiles,
    embeddings: Embeddings,
    *,
    parsed: tuple[Tensor, Tensor],
    device: torch.device,
) -> RewardData:
    """Gather what rewards read. parsed: (U, K) and (N+1, K) bool. A user's context is what its visible items say."""
    train = split.train
    row_user = torch.from_numpy(interactions.user[train]).long().to(device)
    row_item = torch.from_numpy(interactions.item[train]).long().to(device)
    visible = torch.from_numpy(split.visible[train]).to(device)
    metadata = torch.from_numpy(embeddings.metadata).to(device)
    context = visible_mean(metadata, row_user[visible], row_item[visible], interactions.num_users)
    return RewardData(
        user=SideData(torch.from_numpy(embeddings.user).to(device), context, profiles.user, parsed[0].to(device)),
        item=SideData(torch.from_numpy(embeddings.item).to(device), metadata, profiles.item, parsed[1].to(device)),
        row_user=row_user,
        row_item=row_item,
        visible=visible,
        withheld=~visible,
        title=interactions.items.title,
    )


def visible_mean(metadata: Tensor, user: Tensor, item: Tensor, num_users: int) -> Tensor:
    """h_u = sum of the metadata vectors of u's rows, at unit length, (U, d); zeros for a user without rows."""
    total = metadata.new_zeros(num_users, metadata.shape[1]).index_add_(0, user, metadata[item])
    return F.normalize(total, dim=1)
