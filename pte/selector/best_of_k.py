"""The candidate of the highest reward: no learning, so nothing carries over to entities whose reward is not known.

On a fixed set of candidates with a fixed reward no policy can collect more of that very reward. Part of it is luck with
the withheld rows at hand: `withheld_share` below 1 chooses by some of them and leaves the rest to judge the choice.
"""

from __future__ import annotations

from pte.schema import require
from pte.selector.base import Candidates, Choice, Fit, certain


class BestOfK:
    """argmax_k of the reward, the first of equals."""

    reads_reward = True

    def __init__(self, *, withheld_share: float = 1.0) -> None:
        require(0 < withheld_share <= 1, "selector.withheld_share", withheld_share, "a share, above 0 and up to 1")
        self.withheld_share = withheld_share

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        return certain(candidates, candidates.reward.argmax(dim=1))
