"""Vectors of every candidate text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pte.schema.entities import Entities
from pte.schema.error import InputError


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors (float32) of the candidates and of the plain metadata; zeros of a blank text."""

    entities: Entities
    vector: np.ndarray  # (E, K, d); zeros for users where nothing reads their texts
    users_encoded: bool
    metadata: np.ndarray | None  # (N, d) of title and text columns, no profile; None where nothing reads them

    def save(self, out: Path) -> None:
        """Write vector.npy (rows of users where they are known), entities.json and metadata.npy into `out`."""
        np.save(out / "vector.npy", self.vector if self.users_encoded else self.vector[self.entities.item])
        self.entities.save(out)
        if self.metadata is not None:
            np.save(out / "metadata.npy", self.metadata)

    @classmethod
    def load(cls, path: Path) -> Embeddings:
        """Read back what `save` wrote."""
        if not (path / "entities.json").is_file():
            raise InputError(f"{path}: embeddings of an earlier version: run the command again to make them anew")
        entities = Entities(**json.loads((path / "entities.json").read_text(encoding="utf-8")))
        rows = np.load(path / "vector.npy", mmap_mode="r", allow_pickle=False)
        vector = np.zeros((len(entities), *rows.shape[1:]), rows.dtype)  # memory that nothing fills takes no room
        vector[len(entities) - len(rows) :] = rows
        return cls(entities, vector, len(rows) == len(entities), metadata_vectors(path))


def metadata_vectors(path: Path) -> np.ndarray | None:
    """(N, d) the metadata's vectors alone."""
    file = path / "metadata.npy"
    return np.load(file, allow_pickle=False) if file.is_file() else None
