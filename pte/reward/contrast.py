"""InfoNCE of candidate vectors against what they should be near to and what they should be far from.

For an entity x with candidate y, a positive p and B negatives n (van den Oord et al., CPC, 2018, Eq. 4):

    R(y) = e(y).p / tau - log( exp(e(y).p / tau) + sum_n exp(e(y).n / tau) )

The other direction asks which entity p belongs to: p's similarity to e(y) against its similarity to B rival entities,
each represented by the mean of its candidates. Both directions are averaged where rivals are given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional as F

from pte.schema import require

MOST_NEGATIVES = 65_536  # of one comparison; more do not fit in memory
NONE = -1  # in a list of negatives: nobody


def check_knobs(part: str, temperature: float, negatives: int, sample: int) -> None:
    """InputError for knobs out of range of a part of the reward that contrasts."""
    knob = f"reward.parts.{part}"
    require(temperature > 0, f"{knob}.temperature", temperature, "give a number above 0")
    require(2 <= negatives <= MOST_NEGATIVES, f"{knob}.negatives", negatives, f"give 2 to {MOST_NEGATIVES}")
    require(sample >= 1, f"{knob}.sample", sample, "give a whole number, 1 or more")


@dataclass(frozen=True)
class Contrast:
    """P comparisons: entity x should be near `positive` and far from the B of `negative`."""

    entity: Tensor  # (P,) int64, rows of the candidates
    positive: Tensor  # (P,) int64, rows of the table
    negative: Tensor  # (P, B) int64, rows of the table; NONE is left out
    rival: Tensor | None = None  # (P, B) int64, rows of the candidates; NONE is left out


class Relation:
    """A set of pairs (a, b) with 0 <= b < width, queried for many pairs at once."""

    def __init__(self, a: Tensor, b: Tensor, width: int) -> None:
        self.width = width
        self.codes: Tensor = torch.unique(a * width + b)

    def holds(self, a: Tensor, b: Tensor) -> Tensor:
        """Whether (a, b) is in the set, in the broadcast shape of a and b; False where b is NONE."""
        code = a * self.width + b.clamp(min=0)
        if not len(self.codes):
            return torch.zeros_like(code, dtype=torch.bool)
        place = torch.searchsorted(self.codes, code).clamp(max=len(self.codes) - 1)
        return (self.codes[place] == code) & (b >= 0)


def info_nce(
    candidate: Tensor, table: Tensor, contrast: Contrast, temperature: float, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """Mean of R over each entity's comparisons, (n, K), and whether it had any, (n,) bool.

    candidate (n, K, d) and table (m, d) hold unit rows; a chunk bounds memory to chunk * B * d numbers.
    """
    n, K, _ = candidate.shape
    mean = F.normalize(candidate.mean(dim=1), dim=1)
    total = candidate.new_zeros(n, K)
    for part in torch.arange(len(contrast.entity), device=candidate.device).split(chunk):
        x = contrast.entity[part]
        e, p = candidate[x], table[contrast.positive[part]]
        near = einsum(e, p, "p k d, p d -> p k") / temperature
        far = _log_sum(e, table, contrast.negative[part], temperature)  # (P, K)
        score = near - torch.logaddexp(near, far)
        if contrast.rival is not None:
            rivals = _log_sum(p[:, None], mean, contrast.rival[part], temperature)  # (P, 1)
            score = (score + near - torch.logaddexp(near, rivals)) / 2
        total.index_add_(0, x, score)
    count = torch.bincount(contrast.entity, minlength=n)
    return total / count.clamp(min=1)[:, None], count > 0


def _log_sum(anchor: Tensor, table: Tensor, index: Tensor, temperature: float) -> Tensor:
    """log sum_b exp(anchor . table[index_b] / tau): (P, K, d), (m, d), (P, B) -> (P, K); -inf where all are NONE."""
    similarity = einsum(anchor, table[index.clamp(min=0)], "p k d, p b d -> p k b") / temperature
    return similarity.masked_fill((index == NONE)[:, None], -torch.inf).logsumexp(dim=-1)
