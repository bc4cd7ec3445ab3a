"""`pte recommend RUN`: what a run's model recommends to a user of its data, or after a history typed by title."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from pte.artifact import Stored
from pte.engine.build import builder
from pte.metric.lists import best_items
from pte.nn.batch import History
from pte.nn.device import device_of
from pte.nn.noise import CaseNoise
from pte.schema import InputError, Interactions, Selection
from pte.train.state.restore import restore


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        prog="pte recommend", description="The best items, those of the history left out."
    )
    arguments.add_argument("run", type=Path, help="the folder of a finished run")
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", metavar="ID", help="a user of the data, with the whole history there is")
    source.add_argument("--history", metavar="TITLES", help='titles or ids, oldest first: "Heat (1995); Fargo (1996)"')
    arguments.add_argument("--count", type=int, default=10, help="how many (default: 10)")
    return arguments


def main(arguments: Sequence[str]) -> None:
    """Print one line per item: place, id, title."""
    options = parser().parse_args(arguments)
    stored = Stored(options.run)
    data = Interactions.load(stored.path("interactions"))
    history = of_user(data, options.user) if options.user is not None else typed(data, options.history)
    free = data.num_items - len(set(history))
    if not 1 <= options.count <= free:
        raise InputError(f"--count {options.count}: type a number from 1 to {free}, the items outside the history")
    print(f"after {len(history)} items, the last of them {data.items.title[history[-1]]}")
    for place, item in enumerate(recommended(stored, data, history, options.count), 1):
        print(f"{place:>3}  {data.items.item_id[item]}  {data.items.title[item]}")


@torch.inference_mode()
def recommended(stored: Stored, data: Interactions, history: Sequence[int], count: int) -> list[int]:
    """Items, best first, by the run's own model."""
    config = yaml.safe_load((stored.run / "config.resolved.yaml").read_text(encoding="utf-8"))
    selection = Selection.of(stored.paths("selection", "refit"))
    accelerator = config["trainer"]["accelerator"] if torch.cuda.is_available() else "cpu"
    backbone = restore(builder(config), stored.path("training"), data, selection, accelerator)
    device = device_of(accelerator)
    read = torch.tensor([list(history)[-backbone.length :]], device=device)
    noise = CaseNoise(int(config["seed"]), np.zeros(1, np.int64))
    scores = backbone.score(History(read, torch.tensor([read.shape[1]], device=device)), noise=noise)
    return best_items(scores, torch.tensor([list(history)], device=device), count)[0].tolist()


def of_user(data: Interactions, name: str) -> list[int]:
    """The user's items, oldest first."""
    if name not in data.user_id:
        near = difflib.get_close_matches(name, data.user_id, 3, 0.0)
        raise InputError(f"--user {name}: no such user. Ids look like {', '.join(near)}")
    user = data.user_id.index(name)
    return data.item[data.start[user] : data.start[user + 1]].tolist()


def typed(data: Interactions, words: str) -> list[int]:
    """Items by title or id, parted by semicolons; the one title that contains the words will do."""
    parts = [part.strip() for part in words.split(";") if part.strip()]
    if not parts:
        raise InputError('--history: type titles or ids, parted by semicolons: --history "Heat (1995); Fargo (1996)"')
    return [_item(data, part) for part in parts]


def _item(data: Interactions, words: str) -> int:
    if words in data.items.item_id[1:]:
        return data.items.item_id.index(words)
    query, titles = words.casefold(), [title.casefold() for title in data.items.title]
    matches = [i for i in range(1, len(titles)) if titles[i] == query]
    matches = matches or [i for i in range(1, len(titles)) if query in titles[i]]
    if len(matches) == 1:
        return matches[0]
    if matches:
        some = "; ".join(f"{data.items.title[i]} (id {data.items.item_id[i]})" for i in matches[:5])
        raise InputError(f"--history: {len(matches)} items are called {words}: type an id, of such as {some}")
    near = difflib.get_close_matches(words, data.items.title[1:], 3, 0.3)
    raise InputError(f"--history: no item is called {words}." + (f" Near: {'; '.join(near)}" if near else ""))
