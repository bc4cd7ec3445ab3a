"""Texts -> unit vectors of every candidate profile and of the plain metadata. Equal texts are encoded once.

Only sides that something reads are encoded. Encoding goes in blocks, longest texts first (so that a batch
that does not fit in memory shows at once), and every finished block is kept by its texts' hashes in store/work/vector,
a folder per encoder: a killed run loses at most the block in flight, and a run with other texts finds the common ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from pte.artifact import digest
from pte.asset import knob_content
from pte.dataset.table.text import metadata_text
from pte.encoder.base import Encoder
from pte.encoder.imported import ImportedVectors
from pte.metric.collapse import effective_rank, pairwise_cosine
from pte.schema import Interactions, Items, Profiles
from pte.schema.context import Context

NAME = "embeddings"
VERSION = 2  # 2: only what is read
READS = ("encoder", "encoded")
IDLE = (
    "encoder.batch_size",
    "encoder.device",
    "encoder.dtype",
    "encoder.file",
)  # file: by its content; dtype: as resolved, in the key by identity()
PARENTS = ("interactions", "profiles")

BLOCK = 1024  # texts between two saves: some ten seconds of a CPU
TELL_SECONDS = 20.0


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
        context.say(f"embeddings: nothing reads the texts of {' and '.join(left)}: not encoded")
    texts = dict.fromkeys(text for side in sides.values() for candidates in side for text in candidates)
    vector = encode(texts, encoder, Blocks(folder(context, encoder), texts), context.say)
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
    context.say(
        f"embeddings: MADE ELSEWHERE ({encoder.card()['matched']}). That they know nothing of held-out interactions"
        " cannot be proven here: figures made with them rest on whoever made the file"
    )


def folder(context: Context, encoder: Encoder) -> Path:
    """Where the vectors of this very encoder are kept, whatever run they were made in."""
    knobs = {k: v for k, v in context.config["encoder"].items() if f"encoder.{k}" not in IDLE}
    identity = {"knobs": knobs, "encoder": encoder.identity(), "models": knob_content({"encoder": knobs})}
    return context.work.parent.parent / "vector" / digest(identity)[:16]


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


class Blocks:
    """Vectors by text hash in files of one folder, each written whole or not at all; in memory those of `texts`."""

    def __init__(self, folder: Path, texts: Iterable[str]) -> None:
        self.folder = folder
        self.known: dict[bytes, np.ndarray] = {}
        wanted = {text_hash(text) for text in texts}
        for file in sorted(folder.glob("block-*.npz")):
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    pairs = zip(map(bytes, arrays["hash"]), arrays["vector"], strict=True)
                    self.known.update((key, vector) for key, vector in pairs if key in wanted)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                file.unlink()  # damaged: encoded again

    def keep(self, texts: list[str], vectors: np.ndarray) -> None:
        """Add a block and push it to the disk."""
        hashes = [text_hash(text) for text in texts]
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex[:12]
        scratch = self.folder / f".{name}.npz"
        with scratch.open("wb") as file:
            np.savez(file, hash=np.array([list(h) for h in hashes], np.uint8), vector=vectors)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.folder / f"block-{name}.npz")
        self.known.update(zip(hashes, vectors, strict=True))


def text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def encode(
    texts: Iterable[str], encoder: Encoder, blocks: Blocks, say: Callable[[str], None]
) -> Callable[[str], np.ndarray]:
    """Encode every distinct text that `blocks` does not hold; the returned function gives a text's vector (d,)."""
    distinct = dict.fromkeys(text for text in texts if text.strip())
    todo = sorted((t for t in distinct if text_hash(t) not in blocks.known), key=lambda t: (-len(t), t))
    held = f", {len(distinct) - len(todo):,} found" if len(todo) < len(distinct) else ""
    say(f"embeddings: {len(distinct):,} distinct texts{held}, {len(todo):,} to encode")
    letters, done, count = sum(map(len, todo)), 0, 0
    began = told = time.monotonic()
    for first in range(0, len(todo), BLOCK):
        block = todo[first : first + BLOCK]
        blocks.keep(block, encoder.encode(block))
        done, count, now = done + sum(map(len, block)), count + len(block), time.monotonic()
        if now - told >= TELL_SECONDS or (count == len(todo) and count > BLOCK):
            spent = now - began
            left = spent * (letters - done) / done
            say(f"embeddings: {count:,} of {len(todo):,}, {count / spent:,.0f} texts/s, {left:,.0f} s left")
            told = now
    blank = np.zeros(encoder.width, np.float32)

    def vector(text: str) -> np.ndarray:
        return blocks.known[text_hash(text)] if text.strip() else blank

    return vector
