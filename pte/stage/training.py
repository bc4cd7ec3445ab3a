"""Interactions, split and (for text) selection -> a trained backbone: weights.safetensors, curve.csv, facts.json.

The weights are those of the epoch with the best validation figure. The whole state is kept in the work folder step
by step, so that a stopped run goes on where it was and ends with the same weights as an uninterrupted one. Started
in a torchrun process group it runs on all its processes, of which only the first writes. A backbone that is counted
(`trained` is false) leaves its training sequences instead of weights. Of one whose reader is trained apart (stage
`reader`), what remains to be fitted is fitted here.
"""

from __future__ import annotations

import logging

import torch

from pte.nn.device import device_of
from pte.schema import Interactions, Selection, Split
from pte.schema.context import Context
from pte.train import counting, fusion
from pte.train.state.restore import assemble

logger = logging.getLogger(__name__)

NAME = "training"
VERSION = 9  # 9: what repeats are worth to fused; 8: LLM-ESR teaches by whole histories, BERT4Rec's draws
READS = ("representation", "backbone", "optimizer", "trainer", "seed")
PARENTS = ("interactions", "split", "selection", "refit", "reader")


def run(context: Context) -> None:
    """Fit, keep the best epoch's weights and the curve; or keep what to count."""
    interactions = Interactions.load(context.parents["interactions"])
    split = Split.load(context.parents["split"])
    torch.manual_seed(int(context.config["seed"]))
    backbone = assemble(context.build, interactions, Selection.of(context.parents))
    if backbone.stacked:
        fusion.run(context, backbone, interactions, split, device_of(context.config["trainer"]["accelerator"]))
    elif backbone.trained:
        from pte.train.trainer import fit

        fit(context, backbone, interactions, split)
    elif counting.first():
        facts = counting.keep(interactions, split, context.out)
        logger.info(f"  nothing to train: counted from {facts['sequences']:,} training histories where it is used")
