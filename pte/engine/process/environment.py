"""The variables by which a process of a group knows its place, as torchrun sets them."""

from __future__ import annotations

import re
from collections.abc import Mapping

PER_RANK = re.compile(
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NODE_RANK|GROUP_RANK|ROLE_\w+|MASTER_\w+|PL_\w+|TORCHELASTIC_\w+)$"
)


def without_rank(environ: Mapping[str, str]) -> dict[str, str]:
    """The rest."""
    return {name: value for name, value in environ.items() if not PER_RANK.match(name)}


def of_torchrun(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The variables of a process that torchrun started beside others."""
    if int(environ.get("WORLD_SIZE", "1")) < 2 or not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= set(environ):
        return None
    return {name: value for name, value in environ.items() if PER_RANK.match(name)}
