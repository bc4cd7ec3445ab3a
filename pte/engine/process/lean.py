"""Lightning without what torchmetrics imports beside it wherever it is installed, for metrics of images and texts.

transformers, matplotlib and scipy.signal are half of what a process of a group does before it trains (measured: 10.5
seconds of a core with them, 5.0 without), and no metric of ours needs them. In this process torchmetrics' own
flags then say that they are not there: a process that a person works in is better left alone.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

UNUSED = ("transformers", "matplotlib", "scipy")


def import_lightning() -> None:
    """Import it and torchmetrics; as usual where the libraries ask in another way what there is."""
    from lightning_utilities.core import imports

    ordinary, available = getattr(imports.RequirementCache, "_check_available", None), imports.package_available
    if ordinary is None:
        return

    def check(cache: Any) -> None:
        if (cache.requirement or "").startswith(UNUSED):
            cache.available, cache.message = False, "left out, as it is not used here"
        else:
            ordinary(cache)

    with (
        patch.object(imports.RequirementCache, "_check_available", check),
        patch.object(imports, "package_available", lambda name: name not in UNUSED and available(name)),
    ):
        import lightning.pytorch  # noqa: F401
