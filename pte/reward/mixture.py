"""The reward of PtE: a weighted sum of parts, each brought to one scale within the group of K candidates first.

    total(k) = sum_p w_p z_p(k),   z_p(k) = (r_p(k) - mean_k r_p) / (std_k r_p + eps)

Without it the part with the largest spread decides alone. Parts named `raw` keep their own scale: the format rules
live in [-1, 0], where one word too many must not weigh as much as a failed completion. Of equal scores z is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pte.reward.base import Part, PartScore, RewardParts
from pte.reward.data import RewardData
from pte.reward.space import Space
from pte.schema import InputError, of_kind, require


class Mixture:
    """Parts by name, their weights, and those that are not standardised. A weight of 0 still scores the part."""

    def __init__(
        self,
        *,
        parts: Mapping[str, Part],
        weights: Mapping[str, float],
        raw: Sequence[str] = (),
        width: int | None = 128,
        eps: float = 0.01,
        seed: int = 0,
    ) -> None:
        if lost := set(parts) ^ set(weights):
            raise InputError(f"reward.weights.{min(lost)}: reward.parts and reward.weights must name the same parts")
        if lost := set(raw) - set(parts):
            raise InputError(f"reward.raw={sorted(raw)}: {min(lost)} is no part; there are {', '.join(parts)}")
        if negative := [name for name, weight in weights.items() if weight < 0]:
            name = negative[0]
            raise InputError(f"reward.weights.{name}={weights[name]}: it would ask for bad candidates; give 0 or more")
        if not any(weights.values()):
            raise InputError("reward.weights: all are 0, so no candidate is better than another")
        axes = "give the axes to compare in, 2 or more, or null for all of them"
        require(width is None or width >= 2, "reward.width", width, axes)
        require(0 <= eps <= 10, "reward.eps", eps, "give a number from 0 to 10")
        self.parts, self.weights, self.raw = dict(parts), dict(weights), set(raw)
        self.width, self.eps, self.seed = width, eps, seed

    def check(self, encoder_width: int | None) -> None:
        """Refuse more axes than the encoder's vectors have, where their width is known."""
        if self.width is not None and encoder_width is not None and self.width > encoder_width:
            raise InputError(
                f"reward.width={self.width} is more than the {encoder_width} numbers the encoder gives: type"
                f" reward.width={encoder_width} or less, or null for all of them"
            )

    def score(self, data: RewardData) -> RewardParts:
        """All parts, and the mixture; the negatives are drawn from `seed`."""
        generator = torch.Generator().manual_seed(self.seed)
        space = Space.of(data, self.width)
        part = {name: _score(part, data, space, generator) for name, part in self.parts.items()}
        weighted = {name: score for name, score in part.items() if self.weights[name]}
        value = [self.weights[name] * self._scaled(name, score.value) for name, score in weighted.items()]
        known = [score.known for score in weighted.values()]
        return RewardParts(part, PartScore(torch.stack(value).sum(0), torch.stack(known).all(0)))

    def _scaled(self, name: str, score: Tensor) -> Tensor:
        return score if name in self.raw else standardised(score, self.eps)


def _score(part: Part, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
    """A part's scores; InputError where they are not a value for each candidate and a word on each entity."""
    score, shape = of_kind(part.score(data, space, generator), PartScore, part, "score"), data.vector.shape[:2]
    if score.value.shape != shape or score.known.shape != shape[:1]:
        raise InputError(
            f"{type(part).__name__}.score gave value {tuple(score.value.shape)}, known {tuple(score.known.shape)}:"
            f" let them be {tuple(shape)}, of every entity and candidate, and {tuple(shape[:1])}"
        )
    return score


def standardised(score: Tensor, eps: float) -> Tensor:
    """z = (r - mean) / (std + eps) within each row (n, K); 0 where all are equal."""
    centred = score - score.mean(dim=1, keepdim=True)
    z = centred / (score.std(dim=1, keepdim=True, correction=0) + eps)
    return z.masked_fill((score.amax(dim=1) == score.amin(dim=1))[:, None], 0.0)
