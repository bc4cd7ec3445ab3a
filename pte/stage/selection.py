"""Candidate vectors -> one vector per user and item: the reward scores all candidates, the selector picks one."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pte.nn.device import device_of
from pte.reward.base import PartScore, Reward, RewardParts
from pte.reward.data import RewardData, reward_data
from pte.schema import Embeddings, Entities, Interactions, Profiles, Split, of_kind
from pte.schema.context import Context
from pte.selector.base import Candidates, Choice
from pte.selector.grpo import GRPO
from pte.train.selection_record import describe, lines, rewards_of, samples, write

logger = logging.getLogger(__name__)

NAME = "selection"
VERSION = 6  # 6: a reward reads no row held out, not even beside a withheld one. 5: users and items in one table
READS = ("reward", "selector")
PARENTS = ("interactions", "split", "profiles", "embeddings")


def run(context: Context) -> None:
    """Score, choose, and write the choice with everything needed to see why."""
    interactions = Interactions.load(context.parents["interactions"])
    split = Split.load(context.parents["split"])
    profiles = Profiles.load(context.parents["profiles"])
    embeddings = Embeddings.load(context.parents["embeddings"])
    reward, selector = context.build("reward"), context.build("selector")

    attributes = Attributes.of(profiles, embeddings.entities)
    data = reward_data(interactions, split, profiles, embeddings, parsed=attributes.parsed, device=device_of("auto"))
    half, rest = data.split_withheld(selector.withheld_share, torch.Generator().manual_seed(0))
    scores = verdict(reward, half, embeddings)
    candidates = table(half, scores, attributes)
    parts = {name: score.value for name, score in {**scores.part, "total": scores.total}.items()}
    curve: list[dict[str, float]] = []
    choice = of_kind(selector.select(candidates, fit=partial(fit, context, parts, curve)), Choice, selector, "select")
    facts = describe(candidates, choice, parts, attributes.forms)
    facts["users_encoded"] = embeddings.users_encoded
    facts["unseen"] = {k: v for k, v in curve[-1].items() if k.startswith("unseen_")} if curve else {}
    if selector.withheld_share < 1:
        later = verdict(reward, rest, embeddings)
        facts["judged_by_the_rest"] = rewards_of(choice, later.total.value, later.total.known)
    write(context.out, data.entities, choice, scores, curve)
    rows = samples(data, attributes.forms, candidates, choice, parts)
    (context.out / "samples.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for line in lines(facts):
        logger.info(line)


def fit(
    context: Context,
    parts: Mapping[str, Tensor],
    curve: list[dict[str, float]],
    settings: GRPO,
    policy: nn.Module,
    candidates: Candidates,
    trained: Tensor,
    held_out: Tensor,
) -> None:
    """Train a policy in place, as selector/base has it; the rows of its curve go to `curve`."""
    # Lightning takes seconds to import, and most selectors do without.
    from pte.train.policy import GRPOModule, train
    from pte.train.state.checkpoint import ResumeCheckpoint
    from pte.train.trainer import quiet

    module = GRPOModule(
        policy=policy, candidates=candidates, settings=settings, trained=trained, held_out=held_out,
        parts=parts, trackers=context.loggers,
    )  # fmt: skip
    with quiet():
        train(module, resume=ResumeCheckpoint(context.work / "grpo.ckpt"))
    curve.extend(module.curve)


def verdict(reward: Reward, data: RewardData, embeddings: Embeddings) -> RewardParts:
    """The reward's scores; none of users without vectors, on whose texts items' never depend; none without metadata."""
    if embeddings.metadata is None:
        value = torch.zeros(data.vector.shape[:2], device=data.vector.device)
        return RewardParts({}, PartScore(value, value[:, 0].bool()))
    is_user = torch.from_numpy(data.entities.is_user).to(data.vector.device)

    def silent(score: PartScore) -> PartScore:
        return PartScore(score.value.masked_fill(is_user[:, None], 0), score.known & ~is_user)

    scores = reward.score(data)
    if embeddings.users_encoded:
        return scores
    return RewardParts({name: silent(score) for name, score in scores.part.items()}, silent(scores.total))


@dataclass(frozen=True)
class Attributes:
    """How each candidate came about; a candidate that nobody generated has form 0, ""."""

    forms: list[str]
    form: Tensor  # (E, K) int64
    temperature: Tensor  # (E, K)
    parsed: Tensor  # (E, K) bool

    @classmethod
    def of(cls, profiles: Profiles, entities: Entities) -> Attributes:
        """From the generations of the last round of each side."""
        shape, number = (len(entities), profiles.num_candidates), {"": 0}
        form, temperature, parsed = np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.ones(shape, bool)
        last: dict[str, int] = defaultdict(int)
        for g in profiles.generations:
            last[g.side] = max(last[g.side], g.round)
        for g in profiles.generations:
            if g.round == last[g.side]:
                place = (entities.row(g.side, g.entity), g.candidate)
                form[place] = number.setdefault(g.form, len(number))
                temperature[place], parsed[place] = g.temperature, g.parsed
        return cls(list(number), *(torch.from_numpy(column) for column in (form, temperature, parsed)))


def table(data: RewardData, scores: RewardParts, attributes: Attributes) -> Candidates:
    """All entities as the selector sees them."""
    device = data.vector.device
    words = [[len(text.split()) for text in texts] for texts in data.text]
    return Candidates(
        vector=data.vector,
        context=torch.cat([data.visible_mean(data.metadata), data.metadata]),
        reward=scores.total.value,
        known=scores.total.known,
        is_user=torch.from_numpy(data.entities.is_user).to(device),
        words=torch.tensor(words, dtype=torch.float32, device=device),
        form=attributes.form.to(device),
        temperature=attributes.temperature.to(device),
        num_forms=len(attributes.forms),
    )
