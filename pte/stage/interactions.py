"""Raw files -> Interactions, once per content: the root of every key."""

from __future__ import annotations

import logging
from typing import Protocol

from pte.dataset.table.card import card_lines
from pte.schema import Interactions, of_kind
from pte.schema.context import Context

logger = logging.getLogger(__name__)

NAME = "interactions"
VERSION = 5  # 5: films line by line, zones, rounded numbers; 4: ids digit by digit, impossible times malformed
READS = ("dataset",)
PARENTS = ()


class Dataset(Protocol):
    """What a config of the group `dataset` builds."""

    def fingerprint(self) -> dict[str, str]:
        """sha256 of every raw file, by its role: the root of all keys."""
        ...

    def read(self) -> Interactions:
        """The data set, with a card that counts what was left out. InputError for files that cannot be read."""
        ...


def roots(dataset: Dataset) -> dict[str, str]:
    """What the interactions' key is rooted in: the sha256 of the raw files, wherever they lie."""
    return dict(sorted(of_kind(dataset.fingerprint(), dict, dataset, "fingerprint").items()))


def run(context: Context) -> None:
    """Read the data set, save it, and print its card."""
    dataset = context.build("dataset")
    interactions = of_kind(dataset.read(), Interactions, dataset, "read")
    interactions.save(context.out)
    for line in card_lines(interactions.card):
        logger.info(line)
