"""The files of a selection artefact: choices, rewards of every candidate, curve, samples to read, facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pte.metric.collapse import effective_rank, pairwise_cosine
from pte.reward.base import RewardParts
from pte.reward.data import RewardData
from pte.schema import Entities, Selection
from pte.selector.base import Candidates, Choice
from pte.train import curve

SAMPLE = 6  # entities of each side whose candidates are kept for people to read


def write(
    out: Path, entities: Entities, choice: Choice, scores: RewardParts, rows: Sequence[Mapping[str, float]]
) -> None:
    """selection.npz (vectors and choices), reward.npz (every part of every candidate), and rows as curve.csv."""
    Selection(entities, choice.vector.cpu().numpy(), choice.index.cpu().numpy().astype(np.int16)).save(out)
    arrays: dict[str, Any] = {"probability": choice.probability.cpu().numpy().astype(np.float32)}
    for name, score in {**scores.part, "total": scores.total}.items():
        arrays |= {name: score.value.cpu().numpy(), f"{name}_known": score.known.cpu().numpy()}
    np.savez(out / "reward.npz", **arrays)
    if rows:
        curve.write(out, rows)


def weights(choice: Choice) -> Tensor:
    """(E, K): one for the candidate taken; the mixing weights where several are."""
    one_hot = torch.zeros_like(choice.probability).scatter_(1, choice.index.clamp(min=0)[:, None], 1.0)
    return torch.where((choice.index < 0)[:, None], choice.probability, one_hot)


def rewards_of(choice: Choice, reward: Tensor, member: Tensor) -> dict[str, float]:
    """Mean of a reward (E, K) over the entities `member` (E,): of the choice and of the plain alternatives."""
    if not member.any():
        return {}
    reward, weight = reward[member], weights(choice)[member]
    return {
        "chosen": float((reward * weight).sum(dim=1).mean()),
        "first": float(reward[:, 0].mean()),
        "random": float(reward.mean()),
        "best_of_k": float(reward.amax(dim=1).mean()),
    }


def describe(candidates: Candidates, choice: Choice, parts: Mapping[str, Tensor], forms: list[str]) -> dict[str, Any]:
    """Figures by side: rewards where they are known, the selection, and whether vectors have become alike."""
    facts: dict[str, Any] = {}
    for side, member in (("user", candidates.is_user), ("item", ~candidates.is_user)):
        figures: dict[str, Any] = {"entities": int(member.sum()), "known": int((member & candidates.known).sum())}
        figures["reward"] = {name: rewards_of(choice, part, member & candidates.known) for name, part in parts.items()}
        index = choice.index[member]
        index = index[index >= 0]
        figures["chosen_candidate"] = torch.bincount(index, minlength=candidates.num_candidates).tolist()
        form = candidates.form[member].gather(1, choice.index[member].clamp(min=0)[:, None])[choice.index[member] >= 0]
        count = torch.bincount(form.flatten(), minlength=len(forms)).tolist()
        figures["chosen_form"] = {name: n for name, n in zip(forms, count, strict=True) if n}
        for name, vectors in (("chosen", choice.vector[member]), ("first", candidates.vector[member, 0])):
            array = vectors.float().cpu().numpy()
            if len(array) > 1 and array.any():
                figures |= {
                    f"{name}_pairwise_cosine": pairwise_cosine(array),
                    f"{name}_effective_rank": effective_rank(array),
                }
        facts[side] = figures
    return facts


def lines(facts: Mapping[str, Any]) -> list[str]:
    """The facts as log lines."""
    sentences = []
    for side in ("user", "item") if facts["users_encoded"] else ("item",):
        figures = facts[side]
        total = figures["reward"]["total"]
        words = f"selection: {figures['entities']:,} {side}s, reward known for {figures['known']:,}"
        if total:
            words += ": " + ", ".join(f"{name} {value:+.3f}" for name, value in total.items())
        if "chosen_effective_rank" in figures:
            words += f"; effective rank {figures['first_effective_rank']:.0f} -> {figures['chosen_effective_rank']:.0f}"
        sentences.append(words)
    for heading, name in (
        ("entities never trained on", "unseen"),
        ("choices, by withheld rows that no reward read", "judged_by_the_rest"),
    ):
        if facts.get(name):
            values = ", ".join(f"{k.removeprefix('unseen_')} {v:+.3f}" for k, v in facts[name].items())
            sentences.append(f"selection: reward of {heading}: {values}")
    return sentences


def samples(
    data: RewardData, forms: list[str], candidates: Candidates, choice: Choice, parts: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """One row per candidate of a few users and items, those of known reward first, users and items in turn."""
    num_users = data.entities.num_users
    order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(0))
    order = order[torch.argsort(~candidates.known.cpu()[order], stable=True)]
    users, items = order[order < num_users][:SAMPLE].tolist(), order[order >= num_users][:SAMPLE].tolist()
    turns = [x for pair in zip(users, items, strict=False) for x in pair]
    turns += users[len(items) :] + items[len(users) :]
    rows = []
    for x in turns:
        side, entity = data.entities.at(x)
        for k, text in enumerate(data.text[x]):
            rows.append(
                {
                    "side": side,
                    "entity": entity,
                    "title": data.title[x],
                    "candidate": k,
                    "form": forms[int(candidates.form[x, k])],
                    "temperature": round(float(candidates.temperature[x, k]), 3),
                    "text": text,
                    **{name: round(float(part[x, k]), 4) for name, part in parts.items()},
                    "known": bool(candidates.known[x]),
                    "probability": round(float(choice.probability[x, k]), 4),
                    "chosen": int(choice.index[x]) == k,
                }
            )
    return rows
