"""A catalogue of any size with histories: Zipf popularity, items in no order, lengths as of five-core reviews."""

import numpy as np

from pte.schema import Interactions, Items

SHORTEST, LONGEST, MEAN_MORE = 5, 50, 7


def interactions(num_items: int, num_users: int, seed: int = 0) -> Interactions:
    """Item of popularity rank r is drawn with probability ~ 1 / r, each draw by itself: costs, not structure."""
    rng = np.random.default_rng(seed)
    length = np.minimum(SHORTEST - 1 + rng.geometric(1 / (MEAN_MORE + 1), num_users), LONGEST)
    mass = np.cumsum(1 / np.arange(1, num_items + 1))
    popularity = np.searchsorted(mass, rng.random(length.sum()) * mass[-1])
    item = rng.permutation(num_items)[popularity] + 1
    user = np.repeat(np.arange(num_users, dtype=np.int32), length)
    names = [""] + [f"i{i}" for i in range(1, num_items + 1)]
    users = [f"u{u}" for u in range(num_users)]
    return Interactions(
        user, item.astype(np.int32), np.full(len(user), -1, np.int64), users, Items(names, names, {}), {}
    )
