"""Cold-start users: users are split 8:1:1, and a validation or test user has no training row at all.

The setting of DreamRec, iDreamRec and AlphaFuse (items are all known). Where they are silent, ours: users are drawn at
random by a seed; every row with a history is a target (`every_prefix`), or only a user's last one (`last`, one case per
user); a first row never is, and is counted in the split's facts. Validation and test are different users, so a test
history never holds a validation target.

`file` names each user's part instead of the draw, so that a published split can be requested: a table (CSV, TSV or
Parquet) of user_id and part, one row a user, part one of train, valid, test. Every user of the data has a row; who
has none in the data is refused too, beyond `unknown_share` of the file's users.

`max_interactions` keeps each user's last rows only: 11 rebuilds AlphaFuse's counts (138,444 on Toys, 256,598 on Sports;
which end they cut is not published). Rows before those are set aside: they neither train, nor show, nor are history.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pte.asset import local_file
from pte.dataset.reader.source import read_whole, text
from pte.dataset.table.by_id import Tolerance, match
from pte.protocol.leave_one_out import cases
from pte.protocol.withhold import Withheld, check_draw
from pte.schema import Cases, InputError, Interactions, Resolved, Split

PARTS = ("train", "valid", "test")


class ColdStart:
    """Train users train with all their (recent) rows; of the others each row is a target, after those before it."""

    def __init__(
        self,
        *,
        shares: Sequence[int] = (8, 1, 1),
        scoring: str = "every_prefix",
        max_interactions: int | None = None,
        withhold: int = 2,
        min_visible: int = 3,
        holdout: int = 3000,
        seed: int = 0,
        file: Resolved[str | None] = None,
        unknown_share: float = 0.0,
    ) -> None:
        check_draw(shares, scoring)
        if max_interactions is not None and max_interactions < 2:
            raise InputError(f"protocol.max_interactions={max_interactions}: a history and a target take at least 2")
        self.shares, self.scoring, self.max_interactions = tuple(shares), scoring, max_interactions
        self.seed, self.withheld = seed, Withheld(withhold, min_visible, holdout, seed)
        self.file, self.tolerance = file, Tolerance(group="protocol", missing_share=0.0, unknown_share=unknown_share)
        self.path = local_file(file, "protocol.file") if file else None

    def __call__(self, interactions: Interactions) -> Split:
        begin, stop = interactions.start[:-1], interactions.start[1:]
        if self.max_interactions is not None:
            begin = np.maximum(begin, stop - self.max_interactions)
        part = self.named_parts(interactions.user_id) if self.path else self.parts(interactions.num_users)
        row = np.arange(len(interactions.user))
        recent = row >= begin[interactions.user]
        train = recent & (part[interactions.user] == 0)
        valid, test = (self._cases(interactions, begin, np.flatnonzero(part == number)) for number in (1, 2))
        return self.withheld.split(interactions, train, valid, test)

    def parts(self, num_users: int) -> np.ndarray:
        """(U,) 0 = train, 1 = valid, 2 = test, drawn by the seed; shares rounded down, the rest trains."""
        valid, test = (num_users * share // sum(self.shares) for share in self.shares[1:])
        if min(valid, test) < 1:
            raise InputError(
                f"protocol=cold_start: {num_users} users in shares {list(self.shares)} leave no user to evaluate; give"
                " more users or type protocol=leave_one_out"
            )
        part = np.zeros(num_users, np.int8)
        order = np.random.default_rng(self.seed).permutation(num_users)
        part[order[:valid]], part[order[valid : valid + test]] = 1, 2
        return part

    def named_parts(self, user_id: Sequence[str]) -> np.ndarray:
        """(U,) as `parts`, by `file`. InputError where a user is missing or has two parts, or a part has no user."""
        assert self.file is not None
        assert self.path is not None
        file, table = self.file, read_whole(self.path, ["user_id", "part"])
        ids, words = (text(table.frame, column).to_list() for column in ("user_id", "part"))
        number = {name: i for i, name in enumerate(PARTS)}
        if others := [word for word in words if word not in number]:
            raise InputError(f"protocol.file={file}: part {others[0]!r} is none of {', '.join(PARTS)}")
        place = match(ids, user_id, noun="user", file=file, tolerance=self.tolerance).place
        known = place >= 0
        twice = np.flatnonzero(np.bincount(place[known], minlength=len(user_id)) > 1)
        if len(twice):
            raise InputError(f"protocol.file={file}: user {user_id[twice[0]]!r} has more than one row")
        part = np.zeros(len(user_id), np.int8)
        part[place[known]] = np.array([number[word] for word in words], np.int8)[known]
        if empty := [name for name in PARTS if number[name] not in part]:
            raise InputError(f"protocol.file={file}: no user of the data is of part {empty[0]}")
        return part

    def _cases(self, interactions: Interactions, begin: np.ndarray, users: np.ndarray) -> Cases:
        """The cases of some users: all recent rows but the first, or the last alone."""
        stop = interactions.start[1:]
        first = begin[users] + 1 if self.scoring == "every_prefix" else np.maximum(begin[users] + 1, stop[users] - 1)
        count = stop[users] - first  # (V,), 0 where a user has a single row
        user = np.repeat(users, count)
        nth = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
        target = np.repeat(first, count) + nth
        return cases(interactions, user, target, begin[user] if self.max_interactions is not None else None)
