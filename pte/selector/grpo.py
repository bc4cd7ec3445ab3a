"""A policy over the K candidates, trained by group-relative policy optimisation, shared by users and items.

    pi(k | x) = softmax_k g(phi(x, k)),   phi = [e_k, h_x, e_k * h_x, cosines, length, temperature, form, side]

with e_k the candidate's vector and h_x what x is known by without a profile. On entities whose reward is known argmax
of the reward cannot be beaten in that reward; what a policy adds is a choice for entities without withheld behaviour.
So it trains on entities whose reward is fully known, a share of them held out to measure what carries over, and then
chooses for all: the choice is argmax_k pi(k | x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from pte.schema import require
from pte.selector.base import Candidates, Choice, Fit, certain

MOST_HIDDEN = 65_536
MOST = 10**6  # of epochs and of entities a step
CHUNK = 4096  # entities scored at a time


@dataclass(frozen=True)
class Objective:
    """What a step maximises: the clipped gain of the advantages, less kl times D_KL from the reference, plus entropy
    times the policy's own. clip: PPO's range below and above 1; scale_std: advantages over their group's spread.
    """

    clip: Sequence[float] = (0.2, 0.2)
    kl: float = 0.04
    entropy: float = 0.01
    scale_std: bool = True

    def __post_init__(self) -> None:
        name, clip = "selector.objective", self.clip
        ranges = len(clip) == 2 and min(clip) >= 0 and clip[0] < 1
        require(ranges, f"{name}.clip", list(clip), "type it as [0.2,0.2]")
        for term in ("kl", "entropy"):
            value = getattr(self, term)
            require(0 <= value <= 1000, f"{name}.{term}", value, "give a number from 0 to 1000")


OBJECTIVE = Objective()


class GRPO:
    """The knobs of the policy and of its training."""

    reads_reward = True

    def __init__(
        self,
        *,
        objective: Objective = OBJECTIVE,
        epochs: int = 10,
        batch_size: int = 256,
        group_size: int = 8,
        inner_epochs: int = 2,
        learning_rate: float = 1e-3,
        hidden: int = 64,
        held_out: float = 0.1,
        withheld_share: float = 1.0,
        seed: int = 0,
    ) -> None:
        require(2 <= group_size <= 4096, "selector.group_size", group_size, "draws are compared: give 2 to 4096")
        for name, value in {"epochs": epochs, "inner_epochs": inner_epochs, "batch_size": batch_size}.items():
            require(1 <= value <= MOST, f"selector.{name}", value, f"give a whole number, 1 to {MOST}")
        require(1 <= hidden <= MOST_HIDDEN, "selector.hidden", hidden, f"give 1 to {MOST_HIDDEN}")
        require(0 <= held_out < 1, "selector.held_out", held_out, "a share, from 0 to below 1")
        require(0 < withheld_share <= 1, "selector.withheld_share", withheld_share, "a share, above 0 and up to 1")
        require(0 < learning_rate <= 1, "selector.learning_rate", learning_rate, "give a number above 0 and up to 1")
        self.epochs, self.batch_size, self.group_size, self.inner_epochs = epochs, batch_size, group_size, inner_epochs
        self.objective, self.learning_rate, self.hidden = objective, learning_rate, hidden
        self.held_out, self.withheld_share, self.seed = held_out, withheld_share, seed

    def select(self, candidates: Candidates, *, fit: Fit) -> Choice:
        if candidates.num_candidates == 1:
            return certain(candidates, torch.zeros(len(candidates), dtype=torch.int64, device=candidates.vector.device))
        generator = torch.Generator().manual_seed(self.seed)
        policy = Policy(candidates.vector.shape[2], candidates.num_forms, self.hidden, generator)
        policy.to(candidates.vector.device)
        trained, held_out = self.train_and_holdout(candidates.known, generator)
        if trained.any():
            fit(self, policy, candidates, trained, held_out)
            policy.to(candidates.vector.device)  # a trainer may have left it elsewhere
        probability = all_logits(policy, candidates).softmax(dim=1)
        index = probability.argmax(dim=1)
        return Choice(candidates.take(index), index, probability)

    def train_and_holdout(self, known: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(E,) bool twice: entities to train on and to hold out, both of known reward."""
        chance = torch.rand(len(known), generator=generator).to(known.device)
        return known & (chance >= self.held_out), known & (chance < self.held_out)


class Policy(nn.Module):
    """g: a two-layer perceptron on the features of one candidate. Starts uniform: its last layer is zero."""

    def __init__(self, width: int, num_forms: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.num_forms = num_forms
        self.first = nn.Linear(3 * width + 6 + num_forms, hidden)
        self.last = nn.Linear(hidden, 1)
        with torch.no_grad():
            bound = self.first.in_features**-0.5
            self.first.weight.uniform_(-bound, bound, generator=generator)
            self.first.bias.zero_()
            self.last.weight.zero_()
            self.last.bias.zero_()

    def forward(self, candidates: Candidates, entity: Tensor) -> Tensor:
        """Logits (B, K) of the entities (B,)."""
        logits: Tensor = self.last(F.gelu(self.first(features(candidates, entity))))
        return rearrange(logits, "b k 1 -> b k")


def features(candidates: Candidates, entity: Tensor) -> Tensor:
    """phi (B, K, F), every entry of order one: unit vectors have entries of order d^-1/2."""
    e, K = candidates.vector[entity], candidates.num_candidates
    d = e.shape[2]
    h = repeat(candidates.context[entity], "b d -> b k d", k=K)
    middle = F.normalize(e.mean(dim=1, keepdim=True), dim=2)
    to_context, to_others = (e * h).sum(dim=2), (e * middle).sum(dim=2)
    words = candidates.words[entity].clamp(min=1).log()
    numbers = [
        to_context,
        to_others,
        5 * (to_context - to_context.mean(dim=1, keepdim=True)),
        words - 3.5,  # around 33 words
        candidates.temperature[entity],
        repeat(candidates.is_user[entity].to(e), "b -> b k", k=K),
    ]
    form = F.one_hot(candidates.form[entity], candidates.num_forms).to(e)
    return torch.cat([e * d**0.5, h * d**0.5, e * h * d, torch.stack(numbers, dim=2), form], dim=2)


@torch.no_grad()
def all_logits(policy: nn.Module, candidates: Candidates, entity: Tensor | None = None) -> Tensor:
    """Logits (n, K) of the given entities, or of all, in chunks that bound the features' memory."""
    if entity is None:
        entity = torch.arange(len(candidates), device=candidates.vector.device)
    return torch.cat([policy(candidates, part) for part in entity.split(CHUNK)])
