"""`pte recommend RUN`: what a run's model recommends to a user of its data, or after a history typed by title."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from pte.artifact import Stored
from pte.engine.build import builder
from pte.metric.lists import best_items
from pte.nn.batch import History
from pte.nn.device import device_of
from pte.nn.noise import CaseNoise
from pte.schema import InputError, Interactions, Selection, first_line
from pte.stage import training
from pte.train.state.restore import restore


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        prog="pte recommend", description="The best items, those of the history left out."
    )
    arguments.add_argument("run", type=Path, help="the folder of a finished run")
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", metavar="ID", help="a user of the data, with the whole history there is")
    source.add_argument("--history", metavar="TITLES", help='titles or ids, oldest first: "Heat (1995); Fargo (1996)"')
    arguments.add_argument("--count", type=int, help="how many (default: 10, or as many as there are)")
    return arguments


def main(arguments: Sequence[str]) -> None:
    """Print one line per item: place, id, title."""
    options = parser().parse_args(arguments)
    stored = Stored(options.run)
    data = Interactions.load(stored.path("interactions"))
    option, value = ("--history", options.history) if options.user is None else ("--user", options.user)
    try:
        user = None if options.user is None else data.find_user(options.user)
        history = typed(data, options.history) if user is None else of_user(data, user)
    except InputError as error:
        raise InputError(f"{option} {value}: {error}") from None
    free = data.num_items - len(set(history))
    if not free:
        raise InputError(f"the history holds all {data.num_items} items: none is left to recommend")
    count = min(10, free) if options.count is None else options.count
    if not 1 <= count <= free:
        raise InputError(f"--count {count}: type a number from 1 to {free}, the items outside the history")
    print(f"after {len(history)} items, the last of them {data.items.title[history[-1]]}")
    for place, item in enumerate(RunModel(stored, data).best(history, count, user=user), 1):
        print(f"{place:>3}  {data.items.item_id[item]}  {data.items.title[item]}")


# Knobs of finished runs that change nothing of what is restored.
RETIRED = {"pte.backbone.fused.Fused": ("ridge", "history_gate")}


class RunModel:
    """A run's own model, restored once."""

    def __init__(self, stored: Stored, data: Interactions) -> None:
        config = read_config(stored.run)
        selection = Selection.of(stored.paths("selection", "refit"))
        for knob in RETIRED.get(config["backbone"]["_target_"], ()):
            config["backbone"].pop(knob, None)
        accelerator = config["trainer"]["accelerator"] if torch.cuda.is_available() else "cpu"
        self.backbone: Any = restore(builder(config), stored.path("training"), data, selection, accelerator)
        self.device, self.seed = device_of(accelerator), int(config["seed"])

    @torch.inference_mode()
    def best(self, history: Sequence[int], count: int, *, user: int | None = None) -> list[int]:
        """Items outside the history, best first, of a user of the data or of nobody."""
        read = torch.tensor([list(history)[-self.backbone.length :]], device=self.device)
        noise = CaseNoise(self.seed, np.zeros(1, np.int64))
        length = torch.tensor([read.shape[1]], device=self.device)
        owner = torch.tensor([-1 if user is None else user], device=self.device)
        scores = self.backbone.score(History(read, length, owner), noise=noise)
        return best_items(scores, torch.tensor([list(history)], device=self.device), count)[0].tolist()


def read_config(run: Path) -> dict[str, Any]:
    """A run's own configuration; InputError where its file is gone, or is not what the run wrote."""
    file = run / "config.resolved.yaml"
    try:
        config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        if missing := {*training.READS, "trainer"} - set(config):
            raise ValueError(f"it lacks {min(missing)}")
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read ({first_line(error)}): run its command again") from None
    return config


def of_user(data: Interactions, user: int) -> list[int]:
    """The user's items, oldest first."""
    oldest_first: list[int] = data.item[data.start[user] : data.start[user + 1]].tolist()
    return oldest_first


def typed(data: Interactions, words: str) -> list[int]:
    """Items by title or id, parted by semicolons or lines; the one title that contains the words will do."""
    parts = [part.strip() for part in re.split(r"[;\n]", words) if part.strip()]
    if not parts:
        raise InputError('type titles or ids, parted by semicolons: "Heat (1995); Fargo (1996)"')
    return [data.items.find(part) for part in parts]
