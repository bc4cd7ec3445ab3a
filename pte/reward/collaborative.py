"""Collaborative part: does the profile point at behaviour that its prompt did not show?

The comparison is InfoNCE (see contrast.py), symmetrised, against rows that train but were withheld from prompts:

    users: positives are u's withheld items
    items: positives are (a) the items next to i in a user's training rows, where one of the two rows is withheld, and
           (b) the users who hold i in a withheld row

Items and users stand there as centroids (see space.py); a user's is that of its visible rows.

Half of the negatives follow popularity (an item of a random visible row; a random user), half are look-alikes of the
positive (near in the space, or often interacted with together). What x itself relates to in training is
never its negative. An entity without any withheld row scores 0 and is flagged as unknown.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pte.reward.base import PartScore
from pte.reward.contrast import NONE, Contrast, Relation, check_knobs, info_nce
from pte.reward.data import RewardData
from pte.reward.neighbor import cooccurring, nearest
from pte.reward.space import Space

LOOK_ALIKES = 32  # nearest in the space, of which negatives are drawn
TOGETHER = 16  # items that co-occur most often with an item, likewise
WINDOW = 3  # places within which two rows count as together


class Collaborative:
    """InfoNCE against withheld training behaviour."""

    def __init__(self, *, temperature: float = 0.1, negatives: int = 64, sample: int = 4096) -> None:
        check_knobs("collaborative", temperature, negatives, sample)
        self.temperature, self.negatives, self.sample = temperature, negatives, sample

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        draw = _Draw(data, space, self.negatives, self.sample, generator)
        tau = self.temperature
        user, user_known = info_nce(space.vector, space.centroid, draw.users_by_items(), tau)
        beside, by_item = info_nce(space.vector, space.centroid, draw.items_by_items(), tau)
        holders, by_user = info_nce(space.vector, space.centroid, draw.items_by_users(), tau)
        kinds = by_item.long() + by_user.long()  # 0 of users
        return PartScore(user + (beside + holders) / kinds.clamp(min=1)[:, None], user_known | (kinds > 0))


class _Draw:
    """The comparisons of both sides, with their negatives drawn."""

    def __init__(self, data: RewardData, space: Space, negatives: int, sample: int, generator: torch.Generator) -> None:
        self.negatives, self.generator = negatives, generator
        self.user, self.item, self.withheld = data.row_user, data.row_item, data.withheld
        self.entities, self.visible_items = data.entities, self.item[data.visible]
        self.active = space.centroid[self.entities.user].any(dim=1)  # (U,) users with visible rows
        self.active_users = torch.nonzero(self.active).squeeze(1)
        self.trained = Relation(self.user, self.item, len(self.entities))
        beside = cooccurring(self.user[data.visible], self.visible_items, self.entities.item, TOGETHER, window=WINDOW)
        like_item, self.like_user = (
            nearest(space.centroid, LOOK_ALIKES, rows=rows, sample=sample, generator=generator)
            for rows in (self.entities.item, self.entities.user)
        )
        self.like_item = torch.cat([like_item, beside], dim=1)

    def users_by_items(self) -> Contrast:
        """Users against their withheld items; rivals are users who have not trained on that item."""
        u, i = self.user[self.withheld], self.item[self.withheld]
        negative = self._items(i)
        rival = self._sample(self.active_users, len(u))
        return Contrast(
            u,
            i,
            negative.masked_fill(self.trained.holds(u[:, None], negative), NONE),
            rival.masked_fill(self.trained.holds(rival, i[:, None]), NONE),
        )

    def items_by_users(self) -> Contrast:
        """Items against the users who hold them in a withheld row; rivals are items those users have not trained on."""
        rows = self.withheld & self.active[self.user]
        u, i = self.user[rows], self.item[rows]
        half = self.negatives // 2
        negative = torch.cat(
            [self._sample(self.active_users, len(u), half), self._sample_rows(self.like_user[u])], dim=1
        )
        rival = self._sample(self.visible_items, len(u))
        return Contrast(
            i,
            u,
            negative.masked_fill(self.trained.holds(negative, i[:, None]), NONE),
            rival.masked_fill(self.trained.holds(u[:, None], rival), NONE),
        )

    def items_by_items(self) -> Contrast:
        """Items against their neighbours in a user's training rows, where one of the two rows is withheld."""
        beside = (self.user[:-1] == self.user[1:]) & (self.item[:-1] != self.item[1:])
        a, b = self.item[:-1][beside], self.item[1:][beside]
        unseen = (self.withheld[:-1] | self.withheld[1:])[beside]
        every = torch.arange(self.entities.item.start, self.entities.item.stop, device=a.device)
        adjacent = Relation(torch.cat([a, b, every]), torch.cat([b, a, every]), len(self.entities))  # or itself
        x, p = torch.cat([a[unseen], b[unseen]]), torch.cat([b[unseen], a[unseen]])
        negative, rival = self._items(p), self._sample(self.visible_items, len(x))
        return Contrast(
            x,
            p,
            negative.masked_fill(adjacent.holds(x[:, None], negative), NONE),
            rival.masked_fill(adjacent.holds(rival, p[:, None]), NONE),
        )

    def _items(self, positive: Tensor) -> Tensor:
        """(P, B) half by popularity, half look-alikes of the positives."""
        popular = self._sample(self.visible_items, len(positive), self.negatives // 2)
        return torch.cat([popular, self._sample_rows(self.like_item[positive - self.entities.num_users])], dim=1)

    def _sample(self, pool: Tensor, rows: int, size: int | None = None) -> Tensor:
        """(rows, size) entries of a pool (m,), each drawn uniformly; NONE from an empty pool."""
        shape = (rows, self.negatives if size is None else size)
        if not len(pool):
            return pool.new_full(shape, NONE)
        return pool[torch.randint(len(pool), shape, generator=self.generator).to(pool.device)]

    def _sample_rows(self, pools: Tensor) -> Tensor:
        """(P, B - B/2) entries, each drawn uniformly from the row's own pool (P, m)."""
        shape = (len(pools), self.negatives - self.negatives // 2)
        column = torch.randint(pools.shape[1], shape, generator=self.generator).to(pools.device)
        return pools.gather(1, column)
