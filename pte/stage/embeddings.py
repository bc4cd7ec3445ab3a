"""Texts -> unit vectors of every candidate profile and of the plain metadata; only of sides that something reads."""

from __future__ import annotations

import json
import logging

import numpy as np

from pte.dataset.table.text import metadata_text
from pte.encoder.blocks import Blocks, encode, folder
from pte.encoder.imported import ImportedVectors
from pte.metric.collapse import effective_rank, pairwise_cosine
from pte.schema import Interactions, Items, Profiles
from pte.schema.context import Context

logger = logging.getLogger(__name__)

NAME = "embeddings"
VERSION = 2  # 2: only what is read
READS = ("encoder", "encoded")
PARENTS = ("interactions", "profiles")


def run(context: Context) -> None:
    """Encode what is not yet encoded, then lay the vectors out by entity and candidate."""
    items = Interactions.load(context.parents["interactions"]).items
    encoder = context.build("encoder")
    if encoder.reads_ids:
        imported(context, encoder, items)
        return
    profiles = Profiles.load(context.parents["profiles"])
    metadata = metadata_text(items)
    every = {"user": profiles.user, "item": profiles.item, "metadata": [[text] for text in metadata]}
    sides = {name: side for name, side in every.items() if name in context.config["encoded"]}
    if left := sorted(every.keys() - sides.keys()):
        logger.info(f"embeddings: nothing reads the texts of {' and '.join(left)}: not encoded")
    texts = dict.fromkeys(text for side in sides.values() for candidates in side for text in candidates)
    vector = encode(texts, encoder, Blocks(folder(context, encoder), texts))
    facts: dict[str, object] = {"encoded": list(sides), "distinct_texts": sum(bool(text.strip()) for text in texts)}
    for name, side in sides.items():
        table = np.stack([np.stack([vector(text) for text in candidates]) for candidates in side])
        facts[name] = spread(table if name == "user" else table[1:])  # row 0 of items is padding
        np.save(context.out / f"{name}.npy", table[:, 0] if name == "metadata" else table)
    facts["encoder"] = encoder.card()
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def imported(context: Context, encoder: ImportedVectors, items: Items) -> None:
    """Vectors by id instead of texts; the items' alone, for one candidate leaves nothing to judge."""
    table = encoder.vectors(items.item_id[1:])[:, None]
    np.save(context.out / "item.npy", table)
    facts = {"encoded": ["item"], "item": spread(table[1:]), "encoder": encoder.card()}
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    logger.info(
        f"embeddings: MADE ELSEWHERE ({encoder.card()['matched']}). That they know nothing of held-out interactions"
        " cannot be proven here: figures made with them rest on whoever made the file"
    )


def spread(table: np.ndarray) -> dict[str, float | int]:
    """How different the vectors are: of the first candidate over entities, and of the K candidates of one entity."""
    first = table[:, 0]
    known = first[first.any(axis=1)]
    facts: dict[str, float | int] = {"entities": len(table), "blank": int((~table.any(axis=2)).sum())}
    if len(known) > 1:
        facts |= {"pairwise_cosine": pairwise_cosine(known), "effective_rank": effective_rank(known)}
    K = table.shape[1]
    if K > 1:
        between = np.einsum("nkd,nd->n", table, table.sum(axis=1)) - np.square(table).sum(axis=(1, 2))
        facts["cosine_within_group"] = float((between / (K * (K - 1))).mean())
    return facts
