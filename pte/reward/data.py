"""What a reward may read: `RewardData` holds training rows alone, so that none can read validation or test rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.schema import Embeddings, Interactions, Profiles, Split


@dataclass(frozen=True)
class Texts:
    """The candidate profiles of one side, users (n = U) or items (n = N+1, row 0 padding)."""

    text: list[list[str]]  # (n, K)
    parsed: Tensor  # (n, K) bool: False where a fallback stands in for an unusable completion


@dataclass(frozen=True)
class RewardData:
    """Candidates of both sides and the R training rows, sorted by user, oldest first."""

    user: Tensor  # (U, K, d) unit vectors of the candidates
    item: Tensor  # (N+1, K, d)
    metadata: Tensor  # (N+1, d) unit vectors of the items' plain metadata
    user_texts: Texts
    item_texts: Texts
    row_user: Tensor  # (R,) int64
    row_item: Tensor  # (R,) int64
    visible: Tensor  # (R,) bool: the prompts may have shown this row
    withheld: Tensor  # (R,) bool: the reward may judge by this row; no row is both
    title: list[str]  # (N+1,)

    def split_withheld(self, share: float, generator: torch.Generator) -> tuple[RewardData, RewardData]:
        """Data with `share` of the withheld rows, drawn at random, and with the rest; neither holds the other's."""
        chance = torch.rand(len(self.withheld), generator=generator).to(self.withheld.device)
        return self._without(self.withheld & (chance >= share)), self._without(self.withheld & (chance < share))

    def _without(self, rows: Tensor) -> RewardData:
        rest = {name: getattr(self, name)[~rows] for name in ("row_user", "row_item", "visible", "withheld")}
        return replace(self, **rest)


def reward_data(
    interactions: Interactions,
    split: Split,
    profiles: Profiles,
    embeddings: Embeddings,
    *,
    parsed: tuple[Tensor, Tensor],
    device: torch.device,
) -> RewardData:
    """Gather what rewards read, zeros for sides without vectors. parsed: (U, K) and (N+1, K) bool."""
    train, item = split.train, torch.from_numpy(embeddings.item)
    blank = torch.zeros(1, 1, 1).expand(interactions.num_users, *item.shape[1:])  # in no memory
    user = blank if embeddings.user is None else torch.from_numpy(embeddings.user)
    metadata = torch.zeros_like(item[:, 0]) if embeddings.metadata is None else torch.from_numpy(embeddings.metadata)
    judge = split.rest & ~split.visible  # never by rows held out: gates are fitted on them
    return RewardData(
        user=user.to(device),
        item=item.to(device),
        metadata=metadata.to(device),
        user_texts=Texts(profiles.user, parsed[0]),
        item_texts=Texts(profiles.item, parsed[1]),
        row_user=torch.from_numpy(interactions.user[train]).long().to(device),
        row_item=torch.from_numpy(interactions.item[train]).long().to(device),
        visible=torch.from_numpy(split.visible[train]).to(device),
        withheld=torch.from_numpy(judge[train]).to(device),
        title=interactions.items.title,
    )


def visible_mean(table: Tensor, user: Tensor, item: Tensor, num_users: int) -> Tensor:
    """h_u = sum of the vectors of u's rows at unit length, (U, d); zeros for a user without rows.

    table (N+1, d); user and item (R,) of the visible rows.
    """
    total = table.new_zeros(num_users, table.shape[1]).index_add_(0, user, table[item])
    return F.normalize(total, dim=1)
