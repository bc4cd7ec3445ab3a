"""What a reward may read: `RewardData` holds training rows alone, so that none can read validation or test rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.schema import Embeddings, Entities, Interactions, Profiles, Split


@dataclass(frozen=True)
class RewardData:
    """Candidates of the E entities, users before items, and R training rows, sorted by user, oldest first: not those
    held out, on which gates are fitted.
    """

    entities: Entities
    vector: Tensor  # (E, K, d) unit vectors of the candidates
    metadata: Tensor  # (N, d) unit vectors of the items' plain metadata
    text: list[list[str]]  # (E, K) the candidate profiles
    parsed: Tensor  # (E, K) bool: False where a fallback stands in for an unusable completion
    title: list[str]  # (E,) of items; "" of users
    row_user: Tensor  # (R,) int64, the user's row in the tables above
    row_item: Tensor  # (R,) int64, the item's row in the tables above
    visible: Tensor  # (R,) bool: the prompts may have shown this row
    withheld: Tensor  # (R,) bool: the reward may judge by this row; no row is both

    def split_withheld(self, share: float, generator: torch.Generator) -> tuple[RewardData, RewardData]:
        """Data with `share` of the withheld rows, drawn at random, and with the rest; neither holds the other's."""
        chance = torch.rand(len(self.withheld), generator=generator).to(self.withheld.device)
        return self._without(self.withheld & (chance >= share)), self._without(self.withheld & (chance < share))

    def _without(self, rows: Tensor) -> RewardData:
        rest = {name: getattr(self, name)[~rows] for name in ("row_user", "row_item", "visible", "withheld")}
        return replace(self, **rest)

    def visible_mean(self, table: Tensor) -> Tensor:
        """h_u = sum of the vectors (N, d) of u's visible items at unit length, (U, d); zeros for a user without."""
        user, item = self.row_user[self.visible], self.row_item[self.visible] - self.entities.num_users
        total = table.new_zeros(self.entities.num_users, table.shape[1]).index_add_(0, user, table[item])
        return F.normalize(total, dim=1)


def reward_data(
    interactions: Interactions,
    split: Split,
    profiles: Profiles,
    embeddings: Embeddings,
    *,
    parsed: Tensor,
    device: torch.device,
) -> RewardData:
    """Gather what rewards read, zeros for sides without vectors. parsed: (E, K) bool."""
    rows, entities = split.rest, embeddings.entities
    vector = torch.from_numpy(embeddings.vector)
    plain = embeddings.metadata
    metadata = torch.zeros_like(vector[entities.item, 0]) if plain is None else torch.from_numpy(plain)
    return RewardData(
        entities=entities,
        vector=vector.to(device),
        metadata=metadata.to(device),
        text=[*profiles.user, *profiles.item[1:]],
        parsed=parsed,
        title=[""] * entities.num_users + interactions.items.title[1:],
        row_user=torch.from_numpy(interactions.user[rows]).long().to(device),
        row_item=torch.from_numpy(interactions.item[rows]).long().to(device) + entities.row("item", 0),
        visible=torch.from_numpy(split.visible[rows]).to(device),
        withheld=torch.from_numpy(~split.visible[rows]).to(device),
    )
