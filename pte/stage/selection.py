"""Candidate vectors -> one vector per user and item: the reward scores all candidates, the selector picks one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from pte.reward.base import PartScore, Reward, RewardParts
from pte.reward.data import RewardData, reward_data, visible_mean
from pte.schema import Embeddings, Interactions, Profiles, Split
from pte.schema.context import Context
from pte.selector.base import Candidates
from pte.selector.grpo import GRPO
from pte.train.selection_record import both_known, both_sides, describe, lines, rewards_of, samples, write

logger = logging.getLogger(__name__)

NAME = "selection"
VERSION = 4  # 4: permuted deals out means; the reward judges by no row held out. 3: users may be without vectors
READS = ("reward", "selector")
PARENTS = ("interactions", "split", "profiles", "embeddings")


def run(context: Context) -> None:
    """Score, choose, and write the choice with everything needed to see why."""
    interactions = Interactions.load(context.parents["interactions"])
    split = Split.load(context.parents["split"])
    profiles = Profiles.load(context.parents["profiles"])
    embeddings = Embeddings.load(context.parents["embeddings"])
    reward, selector = context.build("reward"), context.build("selector")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    attributes = Attributes.of(profiles)
    parsed = (torch.from_numpy(attributes.parsed["user"]), torch.from_numpy(attributes.parsed["item"]))
    data = reward_data(interactions, split, profiles, embeddings, parsed=parsed, device=device)
    half, rest = data.split_withheld(selector.withheld_share, torch.Generator().manual_seed(0))
    scores = verdict(reward, half, embeddings)
    candidates = table(half, scores, attributes)
    parts = {name: both_sides(score) for name, score in {**scores.part, "total": scores.total}.items()}
    curve: list[dict[str, float]] = []

    def fit(settings: GRPO, policy: nn.Module, candidates: Candidates, trained: Tensor, held_out: Tensor) -> None:
        from pte.train.policy import (
            GRPOModule,
            train,
        )  # Lightning takes seconds to import, and most selectors do without
        from pte.train.state.checkpoint import ResumeCheckpoint
        from pte.train.trainer import quiet

        module = GRPOModule(
            policy=policy, candidates=candidates, settings=settings, trained=trained, held_out=held_out,
            parts=parts, trackers=context.loggers,
        )  # fmt: skip
        with quiet():
            train(module, resume=ResumeCheckpoint(context.work / "grpo.ckpt"))
        curve.extend(module.curve)

    choice = selector.select(candidates, fit=fit)
    facts = describe(candidates, choice, parts, attributes.forms)
    facts["users_encoded"] = embeddings.user is not None
    facts["unseen"] = {k: v for k, v in curve[-1].items() if k.startswith("unseen_")} if curve else {}
    if selector.withheld_share < 1:
        later = verdict(reward, rest, embeddings)
        facts["judged_by_the_rest"] = rewards_of(choice, both_sides(later.total), both_known(later.total))
    write(context.out, interactions.num_users, choice, scores, curve)
    rows = samples(data, attributes.forms, candidates, choice, parts)
    (context.out / "samples.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for line in lines(facts):
        logger.info(line)


def verdict(reward: Reward, data: RewardData, embeddings: Embeddings) -> RewardParts:
    """The reward's scores; none of users without vectors, on whose texts items' never depend; none without metadata."""
    if embeddings.metadata is None:
        user, item = (torch.zeros(vectors.shape[:2], device=vectors.device) for vectors in (data.user, data.item))
        return RewardParts({}, PartScore(user, item, user[:, 0].bool(), item[:, 0].bool()))

    def silent(score: PartScore) -> PartScore:
        return replace(score, user=torch.zeros_like(score.user), user_known=torch.zeros_like(score.user_known))

    scores = reward.score(data)
    if embeddings.user is not None:
        return scores
    return RewardParts({name: silent(score) for name, score in scores.part.items()}, silent(scores.total))


@dataclass(frozen=True)
class Attributes:
    """How each candidate came about, by side: form (n, K) int, temperature (n, K), parsed (n, K) bool."""

    forms: list[str]
    form: Mapping[str, np.ndarray]
    temperature: Mapping[str, np.ndarray]
    parsed: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, profiles: Profiles) -> Attributes:
        """From the generations of the last round of each side; a candidate nobody generated has form "" (number 0)."""
        shape = {
            "user": (len(profiles.user), profiles.num_candidates),
            "item": (len(profiles.item), profiles.num_candidates),
        }
        form = {side: np.zeros(shape[side], np.int64) for side in shape}
        temperature = {side: np.zeros(shape[side], np.float32) for side in shape}
        parsed = {side: np.ones(shape[side], bool) for side in shape}
        number = {"": 0}
        last = {side: max((g.round for g in profiles.generations if g.side == side), default=0) for side in shape}
        for g in profiles.generations:
            if g.round == last[g.side]:
                place = (g.entity, g.candidate)
                form[g.side][place] = number.setdefault(g.form, len(number))
                temperature[g.side][place], parsed[g.side][place] = g.temperature, g.parsed
        return cls(list(number), form, temperature, parsed)

    def both(self, values: Mapping[str, np.ndarray]) -> Tensor:
        """Users and items in one table, padding left out."""
        return torch.from_numpy(np.concatenate([values["user"], values["item"][1:]]))


def table(data: RewardData, scores: RewardParts, attributes: Attributes) -> Candidates:
    """Both sides as the selector sees them."""
    vector = torch.cat([data.user, data.item[1:]])
    device = vector.device
    words = [[len(text.split()) for text in texts] for texts in [*data.user_texts.text, *data.item_texts.text[1:]]]
    visible = data.visible
    of_user = visible_mean(data.metadata, data.row_user[visible], data.row_item[visible], len(data.user))
    return Candidates(
        vector=vector,
        context=torch.cat([of_user, data.metadata[1:]]),
        reward=both_sides(scores.total),
        known=both_known(scores.total),
        is_user=(torch.arange(len(vector)) < len(data.user)).to(device),
        words=torch.tensor(words, dtype=torch.float32, device=device),
        form=attributes.both(attributes.form).to(device),
        temperature=attributes.both(attributes.temperature).to(device),
        num_forms=len(attributes.forms),
    )
