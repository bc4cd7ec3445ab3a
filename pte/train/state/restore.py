"""A backbone from its configuration, and its best weights in and out of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pte.artifact import write_atomic
from pte.nn.device import device_of
from pte.schema import Interactions, Selection, require
from pte.train import counting, curve, fusion
from pte.train.fusion import WEIGHTS

if TYPE_CHECKING:  # Lightning takes seconds to import, and a counted backbone does without
    from pte.train.early_stopping import EarlyStopping


def assemble(build: Callable[..., Any], interactions: Interactions, selection: Selection | None) -> Any:
    """Representation and backbone as the config describes them, untrained."""
    if selection is None:
        return network(build, interactions.num_items, None, None)
    item, user = torch.from_numpy(selection.item_table), torch.from_numpy(selection.side("user"))
    return network(build, interactions.num_items, item, user)


def network(build: Callable[..., Any], num_items: int, item: Tensor | None, user: Tensor | None) -> Any:
    """The same from the text vectors of items (N+1, D) and users (U, D), which may lie on the meta device."""
    representation = build("representation", num_items=num_items, vectors=item)
    backbone = build("backbone", representation=representation, num_items=num_items)
    require(backbone.length >= 1, "backbone.length", backbone.length, "give a whole number, 1 or more")
    backbone.attach(item, user)
    return backbone


def restore(
    build: Callable[..., Any], path: Path, interactions: Interactions, selection: Selection | None, accelerator: str
) -> Any:
    """The trained backbone of a finished training artefact, in evaluation mode, on the device `accelerator` names."""
    backbone = assemble(build, interactions, selection).to(device_of(accelerator))
    if backbone.stacked:
        fusion.restore(backbone, path)
    elif backbone.trained:
        backbone.load_state_dict(load_file(path / WEIGHTS))
    else:
        counting.count(backbone, path)
    return backbone.eval()


class BestWeights:
    """The best epoch's weights in the work folder while training runs. Written by the first process, read by all."""

    def __init__(self, work: Path) -> None:
        self.file = work / "best.safetensors"

    def save(self, state: dict[str, Tensor]) -> None:
        if counting.first():
            weights = {k.removeprefix("backbone."): v.detach().cpu().contiguous() for k, v in state.items()}
            scratch = self.file.with_suffix(".tmp")
            save_file(weights, scratch)
            scratch.replace(self.file)

    def publish(self, out: Path, stopping: EarlyStopping, facts: dict[str, Any]) -> None:
        """Fill the artefact's folder and drop what was only needed to get there."""
        save_file(load_file(self.file), out / WEIGHTS)
        curve.write(out, stopping.rows)
        facts = {"monitor": stopping.monitor, "best": stopping.best, "best_epoch": stopping.best_epoch, **facts}
        facts["epochs"] = len(stopping.rows)
        write_atomic(out / "facts.json", json.dumps(facts, indent=1))
