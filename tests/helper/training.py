"""Shared by tests: CONFIG, ITEMS, KilledError, changed, context, same_ends, walks."""

import csv

import numpy as np
import torch
from safetensors.torch import load_file

from pte.engine.build import builder
from pte.schema import Cases, Interactions, Items, Split
from pte.schema.context import Context
from pte.stage import training
from pte.train.state.restore import WEIGHTS

ITEMS = 25


CONFIG = {
    "seed": 0,
    "representation": {"_target_": "pte.representation.id.Id", "width": 16, "std": 0.05},
    "backbone": {
        "_target_": "pte.backbone.sasrec.SASRec", "length": 12, "inner": 32, "layers": 1, "heads": 2,
        "dropout": 0.2, "attention_dropout": 0.2, "fit": {"max_epochs": 3},
    },
    "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.01, "fused": True},
    "trainer": {
        "max_epochs": 4, "patience": 10, "check_val_every_n_epoch": 1, "batch_size": 16, "batch_targets": 10**6,
        "epoch_steps": 1, "gradient_clip": None,
        "warmup": 0.2, "decay": "cosine",
        "monitor": "masked/all/NDCG@10", "products": "float32", "precision": "32-true", "accelerator": "cpu",
        "devices": 1, "strategy": "auto", "compile": False, "scores_mib": 1,
        "oversubscribe": False,
    },
}  # fmt: skip


def changed(**groups):
    return {
        name: {**value, **groups.get(name, {})} if isinstance(value, dict) else value for name, value in CONFIG.items()
    }


def walks(users=90, seed=0):
    """Users walk round a circle of items, now and then skipping one: the next item can be learnt."""
    rng = np.random.default_rng(seed)
    count = rng.integers(5, 14, users)
    user = np.repeat(np.arange(users, dtype=np.int32), count)
    step = 1 + (rng.random(len(user)) < 0.1)
    item = (np.cumsum(step) + rng.integers(0, ITEMS, users)[user]) % ITEMS + 1
    items = Items([""] + [f"i{i}" for i in range(1, ITEMS + 1)], [""] + ["t"] * ITEMS, {})
    ids = [f"u{u}" for u in range(users)]
    interactions = Interactions(user, item.astype(np.int32), np.full(len(user), -1, np.int64), ids, items, {})
    place = np.arange(len(user)) - interactions.start[user]
    ask, tied = np.arange(users, dtype=np.int32), np.zeros(users, bool)
    train = place < count[user] - 2
    valid, test = (Cases(ask, interactions.start[1:] - back, tied) for back in (2, 1))
    return interactions, Split(train, train, valid, test)


def context(tmp_path, parents, config=CONFIG, work="work", out="out"):
    folders = [tmp_path / work, tmp_path / out]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return Context(
        config={name: config[name] for name in training.READS}, parents=parents, out=folders[1], work=folders[0],
        build=builder(config), loggers=[],
    )  # fmt: skip


class KilledError(Exception):
    pass


def same_ends(one, two):
    """Weights bit by bit, and curves but for the seconds."""
    first, second = (load_file(c.out / WEIGHTS) for c in (one, two))
    assert all(torch.equal(first[name], second[name]) for name in first)
    curves = []
    for made in (one, two):
        with (made.out / "curve.csv").open() as file:
            curves.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    assert curves[0] == curves[1]
