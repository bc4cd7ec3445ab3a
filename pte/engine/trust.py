"""Which classes a configuration may name by `_target_`.

Building a class runs its module, so a configuration from elsewhere could run anything. Ours and the libraries' names
are always built; those of another module when the person who runs says so (`trust: [mypackage]`), or when a package
that is installed lists it under the entry-point group `pte.plugins`.

Their source goes into the keys (pte/asset/code).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from hydra.utils import get_object

from pte.asset.code import SHIPPED, within
from pte.schema import InputError

PLUGINS = "pte.plugins"


def trusted(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules that the person who runs, or an installed package, vouches for."""
    given = config.get("trust") or []
    if not isinstance(given, list) or not all(
        isinstance(name, str) and all(part.isidentifier() for part in name.split(".")) for name in given
    ):
        raise InputError(f"trust={given}: give a list of importable modules: trust=[mypackage]")
    return (*given, *(point.module for point in entry_points(group=PLUGINS)))


def locate(name: str, where: str, modules: Sequence[str]) -> Any:
    """What `_target_: name` in the group `where` names, if it may be built."""
    knob = f"{where.removeprefix('conf/')}._target_={name}"
    top = name.partition(".")[0]
    if not within(name, (*SHIPPED, *modules)):
        raise InputError(
            f"{knob} is not built: names under {', '.join(SHIPPED)} are, and others once you say that"
            f" you trust their code: type 'trust=[{top}]' or write trust: [{top}] in a config of your --config-dir, or"
            f" install a package whose entry points of the group {PLUGINS} list the module"
        )
    try:
        target = get_object(name)
    except (ImportError, ValueError) as error:
        why = " ".join(str(error).split())
        raise InputError(
            f"{knob} cannot be imported ({why}). Is the name right, and its folder on the path? Run"
            " with PYTHONPATH=FOLDER, the folder that holds the module, or install it"
        ) from None
    origin = getattr(target, "__module__", None)  # torch.os.system lies under torch by name alone
    if not within(name, modules) and not (callable(target) and within(str(origin), (*SHIPPED, *modules))):
        raise InputError(f"{knob} is no class of {top}, but comes from {origin}: name a class")
    return target
