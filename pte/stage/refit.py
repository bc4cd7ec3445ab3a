"""Selection -> Selection: items' texts written anew from all training rows but those held out, selected as before.

A selector with a reward chooses among texts that must not know the rows the reward judges by. Once it has chosen, they
may: of each item the candidate of the same number is taken, which has the same form, temperature and evidence. Users
keep their vectors. A language model writes what changed alone, since the generations are shared with the stage
`profiles`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import numpy as np

from pte.dataset.table.text import metadata_text
from pte.encoder.source import corpus, encoding
from pte.profiler.loop.account import facts
from pte.profiler.store.log import RecordLog
from pte.schema import Interactions, Profiles, Selection, Split, training_view
from pte.schema.context import Context

NAME = "refit"
VERSION = 8  # 8: more refusals and abbreviations known; 7: more wrappings of answers
READS = ("profiler", "encoder")
PARENTS = ("interactions", "split", "profiles", "selection")


def run(context: Context) -> None:
    """Write, encode, take what the selector took."""
    interactions = Interactions.load(context.parents["interactions"])
    selection = Selection.load(context.parents["selection"])
    encoder = context.build("encoder")
    view = training_view(interactions, Split.load(context.parents["split"]))
    log = RecordLog(context.work.parent.parent / "generation")
    profiles = context.build("profiler").profile(view, log=log, out=context.out)
    profiles.save(context.out)
    metadata, judged = metadata_text(interactions.items), Profiles.load(context.parents["profiles"])
    source = encoding(  # on the axes that users' vectors lie on
        context, encoder, lambda: corpus(islice(judged.item, 1, None), metadata[1:]),
        lambda: (text for group in profiles.item for text in group),
    )  # fmt: skip
    vectors = selection.vector.copy()
    written, choice, first = vectors[selection.entities.item], selection.choice[selection.entities.item], 0
    for part in source.vectors(islice(profiles.item, 1, None)):
        rows = slice(first, first + len(part))
        written[rows] = select(part, choice[rows])
        first += len(part)
    replace(selection, vector=vectors).save(context.out)
    record = {**facts(profiles), "texts_cut": source.num_cut}
    (context.out / "facts.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def select(vector: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """(n, d): of candidates (n, K, d) the one that `choice` (n,) names, or their mean at unit length where it is -1."""
    mean: np.ndarray = vector.sum(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    single = choice >= 0
    mean[single] = vector[single, choice[single]]
    return mean
