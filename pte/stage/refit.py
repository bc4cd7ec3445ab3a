"""Selection -> Selection: items' texts written anew from all training rows but those held out, selected as before.

A selector with a reward chooses among texts that must not know the rows the reward judges by. Once it has chosen, they
may: of each item the candidate of the same number is taken, which has the same form, temperature and evidence. Users
keep their vectors. A language model is asked for what changed alone, since the generations are shared with the stage
`profiles`.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from pte.artifact import RecordLog
from pte.encoder.blocks import Blocks, encode, folder
from pte.profiler.text.account import facts
from pte.schema import Interactions, Selection, Split, training_view
from pte.schema.context import Context

NAME = "refit"
VERSION = 2  # 2: texts of people who train nothing
READS = ("profiler", "encoder")
PARENTS = ("interactions", "split", "selection")


def run(context: Context) -> None:
    """Write, encode, take what the selector took."""
    interactions = Interactions.load(context.parents["interactions"])
    selection = Selection.load(context.parents["selection"])
    encoder = context.build("encoder")
    view = training_view(interactions, Split.load(context.parents["split"]))
    log = RecordLog(context.work.parent.parent / "generation")
    profiles = context.build("profiler").profile(view, log=log)
    profiles.save(context.out)
    texts = dict.fromkeys(text for candidates in profiles.item for text in candidates)
    blocks = Blocks(folder(context, encoder), texts)
    vector = encode(texts, encoder, blocks)
    item = np.stack([np.stack([vector(text) for text in candidates]) for candidates in profiles.item])
    replace(selection, item=select(item, selection.item_choice)).save(context.out)
    (context.out / "facts.json").write_text(json.dumps(facts(profiles), indent=1), encoding="utf-8")


def select(vector: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """(n, d): of candidates (n, K, d) the one that `choice` (n,) names, or their mean at unit length where it is -1."""
    mean = vector.sum(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return np.where((choice < 0)[:, None], mean, vector[np.arange(len(vector)), np.maximum(choice, 0)])
