"""The product's own parts for a measurement: its config, rows, model, optimizer and loader, as a run composes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.engine.build import builder
from pte.nn.batch import PackedBatch
from pte.paths import CONF_DIR
from pte.schema import Interactions, Split
from pte.train.loader import TrainingLoader

SEED = 0
PUBLISHED = (  # DreamRec's own loss and chain, as the plain port has them
    "backbone.target_gradient=true", "backbone.sphere=false", "backbone.ranking=0",
    "backbone.diffusion.schedule=linear", "backbone.diffusion.steps=500",
)  # fmt: skip
PRECISION = {"bfloat16": "medium", "float32": "highest"}  # as pte/train/recommender.py sets it


@dataclass(frozen=True)
class Product:
    """What `pte representation=id backbone=...` trains, and on what."""

    interactions: Interactions
    split: Split
    backbone: Any
    optimizer: torch.optim.Optimizer
    loader: TrainingLoader
    knobs: dict[str, Any]  # the backbone's

    def train(self, batch: PackedBatch) -> float:
        """One step; returns its targets."""
        self.optimizer.zero_grad()
        self.backbone.loss(batch)["loss"].backward()
        self.optimizer.step()
        return batch.total

    def steps(self) -> Iterator[PackedBatch]:
        """Epoch after epoch."""
        epoch = 0
        while True:
            self.loader.set_epoch(epoch)
            yield from self.loader
            epoch += 1


def assemble(
    interactions: Path, *overrides: str, products: str = "float32", sequences: int | None = None, seed: int = SEED
) -> Product:
    """Toys' table <data>/Toys/interactions.csv.gz and a config's overrides -> everything a training step needs."""
    given = ["dataset=Toys", f"dataset.data={interactions.parent.parent}", "representation=id", *overrides]
    given += PUBLISHED if "backbone=dreamrec" in overrides else []
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [*given, f"trainer.products={products}"]), resolve=True)
    assert isinstance(config, dict)
    build: Callable[..., Any] = builder(config)
    torch.manual_seed(seed)
    rows = build("dataset").read()
    split = build("protocol")(rows)
    representation = build("representation", num_items=rows.num_items, vectors=None)
    backbone = build("backbone", representation=representation, num_items=rows.num_items)
    loader = TrainingLoader(
        rows, split, row_length=backbone.length, batch_size=sequences or config["trainer"]["batch_size"], seed=seed
    )
    return Product(rows, split, backbone, build("optimizer")(backbone.parameters()), loader, config["backbone"])


def result(**values: Any) -> None:
    """The line run.py reads."""
    print("RESULT " + json.dumps(values | {"torch": torch.__version__}), flush=True)
