"""Every representation as its config file describes it, cut down to a catalogue of twelve items."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor

from pte.paths import CONF_DIR
from pte.representation.alphafuse import NullSpace

NUM_ITEMS, TEXT_WIDTH, WIDTH = 12, 10, 8
SMALL: dict[str, dict[str, Any]] = {
    "id": {"width": WIDTH, "std": 0.1},
    "llm_only": {"width": WIDTH, "components": 6, "head": "mlp", "hidden": 16},
    "llm_init": {"width": WIDTH, "std": 0.1},
    "morec": {"width": WIDTH},
    "whitenrec": {"width": WIDTH, "groups": 2},
    "unisrec": {"width": WIDTH},
    "rlmrec_con": {"width": WIDTH, "std": 0.1, "sample": 0},
    "rlmrec_gen": {"width": WIDTH, "std": 0.1, "sample": 0, "mask": 0.4},
    "alphafuse": {"width": WIDTH, "null_space": NullSpace(None, dim=3), "std": 0.1},
    "llm_esr": {"width": WIDTH, "neighbors": 2},
    "concat": {"width": WIDTH, "id_share": 0.375, "std": 0.1, "components": 6, "head": "mlp", "hidden": 16},
}
TEXT = [name for name in SMALL if name != "id"]


def vectors(seed: int = 0) -> Tensor:
    """(13, 10) unit text vectors in a cone, row 0 zeros."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(NUM_ITEMS + 1, TEXT_WIDTH, generator=draw) + 1
    rows = rows / rows.norm(dim=1, keepdim=True)
    rows[0] = 0
    return rows


@cache
def _composed(name: str) -> Any:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("config", [f"representation={name}", "backbone=sasrec"])
    return OmegaConf.to_container(config.representation, resolve=True)


def configured(name: str) -> dict[str, Any]:
    """The knobs of an option as a run of sasrec composes them, to be changed at will."""
    return deepcopy(_composed(name))


def made(
    name: str, text: Tensor | str | None = "given", seed: int = 0, num_items: int = NUM_ITEMS, **knobs: Any
) -> Any:
    """A representation with the numbers of its config file, small widths, and what the caller changes."""
    config = configured(name)
    config.pop("fit", None)  # the backbone's
    kind = get_class(config.pop("_target_"))
    torch.manual_seed(seed)
    if isinstance(text, str):
        text = vectors() if kind.uses_text else None
    return kind(num_items=num_items, vectors=text, **{**config, **SMALL[name], **knobs})


def rename(source: Any, target: Any, order: Tensor) -> None:
    """Give `target` the parameters of `source` after items were renamed: item order[j] is now item j+1."""
    theirs = dict(target.named_parameters())
    with torch.no_grad():
        for key, value in source.named_parameters():
            if value.shape[:1] == (NUM_ITEMS,):
                theirs[key].copy_(value[order - 1])
            elif value.shape[:1] == (NUM_ITEMS + 1,):
                theirs[key].copy_(torch.cat([value[:1], value[order]]))
            else:
                theirs[key].copy_(value)
