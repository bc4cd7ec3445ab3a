"""Interactions, split and (for text) selection -> the reader of backbone=fused, as the stage `training` leaves weights.

Only what the reader is made of counts in its key: runs that differ in their other experts or gates share one reader
(but for `profile`, whose texts of users change what is encoded).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pte.schema import Interactions, Selection, Split
from pte.schema.context import Context
from pte.train import fusion
from pte.train.state.restore import assemble

NAME = "reader"
VERSION = 1
READS = ("representation", "backbone", "optimizer", "trainer", "seed")
PARENTS = ("interactions", "split", "selection", "refit")


def knobs(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of the groups it reads decides the reader: of the backbone its class and `reader`."""
    backbone = {name: config["backbone"].get(name) for name in ("_target_", "reader")}
    return {name: backbone if name == "backbone" else config[name] for name in READS}


def run(context: Context) -> None:
    """Train it on the rows that the gates are not fitted on."""
    from pte.train.trainer import fit

    interactions = Interactions.load(context.parents["interactions"])
    split = Split.load(context.parents["split"])
    torch.manual_seed(int(context.config["seed"]))
    backbone = assemble(context.build, interactions, Selection.of(context.parents))
    fit(context, backbone.reader, interactions, fusion.reader_split(interactions, split))
