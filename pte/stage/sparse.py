"""What goes together with an item table whose gradients are sparse (representation.sparse=true)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pte.schema import InputError

TAKE_SPARSE = ("pte.nn.lazy_adam.LazyAdam", "torch.optim.SGD")  # optimizers that take sparse gradients
WHOLE_WEIGHTS = ("32-true", "bf16-mixed")  # precisions that keep fp32 weights and scale no gradients


def check(knobs: Mapping[str, Any], optimizer: str) -> None:
    """Refuse what would turn sparse gradients dense, or cannot take them."""
    if optimizer not in TAKE_SPARSE:
        raise InputError(f"representation.sparse=true and {optimizer} do not go together: take optimizer=sparse_adam")
    if knobs["gradient_clip"] is not None:
        raise InputError(
            f"trainer.gradient_clip={knobs['gradient_clip']} needs dense gradients: "
            "take trainer.gradient_clip=null, or representation.sparse=false"
        )
    if knobs["strategy"] != "auto" or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "representation.sparse=true trains in one process, its rows are not added up over several: "
            "take trainer.devices=1 trainer.strategy=auto, or representation.sparse=false"
        )
    if knobs["precision"] not in WHOLE_WEIGHTS:
        raise InputError(
            f"trainer.precision={knobs['precision']} with representation.sparse=true: the table's weights and moments "
            f"must be fp32, so take {' or '.join(WHOLE_WEIGHTS)}"
        )
