"""Texts -> unit vectors of every candidate profile and of the plain metadata; only of sides that something reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from pte.dataset.table.text import metadata_text
from pte.encoder.imported import ImportedVectors
from pte.encoder.source import corpus, encoding
from pte.metric.collapse import effective_rank, pairwise_cosine
from pte.schema import Embeddings, Entities, Interactions, Profiles
from pte.schema.context import Context

logger = logging.getLogger(__name__)

NAME = "embeddings"
VERSION = 3  # 3: users and items in one table. 2: only what is read
READS = ("encoder", "encoded")
PARENTS = ("interactions", "profiles")
MOST = 65_536  # entities that the figures are of
PART = 4096  # entities in memory at a time


def run(context: Context) -> None:
    """Encode what is not yet encoded, then lay the vectors out by entity and candidate."""
    interactions = Interactions.load(context.parents["interactions"])
    encoder = context.build("encoder")
    if encoder.reads_ids:
        imported(context, encoder, interactions)
        return
    profiles = Profiles.load(context.parents["profiles"])
    entities, metadata = Entities(interactions.num_users, interactions.num_items), metadata_text(interactions.items)
    every: dict[str, Callable[[], Iterable[list[str]]]] = {
        "user": lambda: profiles.user,
        "item": lambda: islice(profiles.item, 1, None),
        "metadata": lambda: ([text] for text in metadata[1:]),
    }
    sides = {name: side for name, side in every.items() if name in context.config["encoded"]}
    if left := sorted(every.keys() - sides.keys()):
        logger.info(f"embeddings: nothing reads the texts of {' and '.join(left)}: not encoded")
    source = encoding(
        context, encoder, lambda: corpus(islice(profiles.item, 1, None), metadata[1:]),
        lambda: (text for side in sides.values() for group in side() for text in group),
    )  # fmt: skip
    facts: dict[str, object] = {"encoded": list(sides), "distinct_texts": source.num_texts}
    known = [name for name in ("user", "item") if name in sides]
    width, rows = encoder.width, entities.num_items + entities.num_users * ("user" in sides)
    table = written(
        context.out / "vector.npy",
        (part for name in known for part in source.vectors(sides[name]())),
        (rows, profiles.num_candidates, width),
    )
    for name in known:
        facts[name] = spread(table[: entities.num_users] if name == "user" else table[rows - entities.num_items :])
    if "metadata" in sides:
        parts = source.vectors(sides["metadata"]())
        plain = written(context.out / "metadata.npy", parts, (entities.num_items, width))
        facts["metadata"] = spread(plain[:, None])
    entities.save(context.out)
    facts["encoder"] = {**encoder.card(), "texts_cut": source.num_cut}
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def written(path: Path, parts: Iterable[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """A file of float32 rows, written part by part; the array that reads it on request."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(part.tobytes())
    rows: np.ndarray = np.load(path, mmap_mode="r")
    return rows


def imported(context: Context, encoder: ImportedVectors, interactions: Interactions) -> None:
    """Vectors by id instead of texts; the items' alone, for one candidate leaves nothing to judge."""
    entities = Entities(interactions.num_users, interactions.num_items)
    table = np.zeros((len(entities), 1, encoder.width), np.float32)
    table[entities.item, 0] = encoder.vectors(interactions.items.item_id[1:])[1:]
    Embeddings(entities, table, users_encoded=False, metadata=None).save(context.out)
    facts = {"encoded": ["item"], "item": spread(table[entities.item]), "encoder": encoder.card()}
    (context.out / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    logger.info(
        f"embeddings: MADE ELSEWHERE ({encoder.card()['matched']}). That they know nothing of held-out interactions"
        " cannot be proven here: figures made with them rest on whoever made the file"
    )


def spread(table: np.ndarray) -> dict[str, float | int]:
    """How different the vectors are: of the first candidate over entities (of MOST, spread evenly), and of the K
    candidates of one entity."""
    first = np.array(table[:: -(-len(table) // MOST) or 1, 0])
    known = first[first.any(axis=1)]
    n, K = table.shape[:2]
    blank, between = 0, 0.0
    for start in range(0, n, PART):
        part = np.array(table[start : start + PART])
        blank += int((~part.any(axis=2)).sum())
        between += float((np.einsum("nkd,nd->n", part, part.sum(axis=1)) - np.square(part).sum(axis=(1, 2))).sum())
    facts: dict[str, float | int] = {"entities": n, "blank": blank}
    if len(known) > 1:
        facts |= {"pairwise_cosine": pairwise_cosine(known), "effective_rank": effective_rank(known)}
    if K > 1:
        facts["cosine_within_group"] = between / (K * (K - 1) * max(n, 1))
    return facts
