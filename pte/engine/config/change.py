"""What one word of the command may not do, whatever the others: change or leave out what every run needs, change
nothing, name what nothing reads, hide a value from the record.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from pte.engine.config import spelling
from pte.paths import CONF_DIR
from pte.schema import InputError, typed
from pte.schema.knob import leaves

SEVERAL = ("logger", "experiment")  # groups of which several options may be taken at once
HYDRA = ("hydra", "hydra.launcher", "hydra.sweeper", "hydra.job", "hydra.run", "hydra.sweep")  # what runs cannot lack
WITHIN = ("hydra.sweep.subdir", "hydra.output_subdir")


def refuse_change(override: Override) -> None:
    """InputError where a group is given no name of an option, or what every run needs is left out."""
    name, value = override.key_or_group, override.value()
    options = sorted(file.stem for file in (CONF_DIR / name).glob("*.yaml"))
    if override.is_delete():
        if name.partition(".")[0] in ("paths", "trainer", "hydra") or "." not in name:
            raise InputError(f"~{name}: every run needs it; leave the word out to have what is usual")
    elif options and not override.is_sweep_override():
        several = isinstance(value, list) and (len(value) == 1 or name in SEVERAL)
        if not (isinstance(value, str) or several):
            raise InputError(f"{name}={typed(value)}: choose one of {', '.join(options)}")
    elif name == "hydra.searchpath":
        raise InputError(f"{name}={typed(value)}: type --config-dir FOLDER for options of your own")
    elif name == "hydra.job.chdir" and value is not False:
        raise InputError(
            f"{name}={typed(value)}: paths are those of the folder that pte is typed in; leave the word out"
        )
    elif name in WITHIN and Path(str(value)).is_absolute() | (".." in Path(str(value)).parts):
        raise InputError(f"{name}={typed(value)}: it is a folder within the run's own; name that by hydra.run.dir")
    elif name == "hydra.mode":
        raise InputError(f"hydra.mode={typed(value)}: type -m for several jobs, and leave it out for one")
    elif value is None and (name.startswith("hydra/") or name in HYDRA):
        raise InputError(f"{name}=null: every run needs it; leave the word out to have what is usual")
    elif name == "hydra":
        raise InputError(f"hydra={typed(value)}: type one of its parts, as hydra/launcher=joblib")


def refuse_nothing(override: Override, config: Any) -> None:
    """InputError for {} where knobs are: values are merged, so that all would stay as they were."""
    inside = OmegaConf.select(config, override.key_or_group, throw_on_resolution_failure=False)
    if override.value() == {} and not override.is_delete() and OmegaConf.is_dict(inside) and len(inside):
        knobs: Any = OmegaConf.to_container(inside)
        first, value = next(iter(knobs.items()))
        raise InputError(
            f"{override.key_or_group}={{}} changes nothing: knobs are merged; give each a value of its own, as"
            f" {override.key_or_group}.{first}={typed(value)}"
        )


def refuse_unread(override: Override, tree: Any, known: list[str]) -> None:
    """InputError for an added name (+) where no class that is built would refuse it, and nothing refers to it."""
    group = (CONF_DIR / override.key_or_group).is_dir()
    name = override.package if group else override.key_or_group
    if not name or name in known:
        return
    part, keys = tree, name.split(".")
    for key in keys if keys[0] in {each.partition(".")[0] for each in known} and "fit" not in keys else []:
        part = part.get(key) if isinstance(part, dict) else None
        if isinstance(part, dict) and "_target_" in part:
            return
    hydras = keys[0] == "hydra" and keys[1:2] and keys[1] in HydraConf.__dataclass_fields__
    read = re.compile(rf"\$\{{(oc\.select:)?{re.escape(name)}\b")
    if hydras or any(read.search(str(value)) for _, value in leaves(tree)):
        return
    raise InputError(f"{override.input_line}: there is no knob or group {name}{spelling.suggestion(name, known)}")


def refuse_unrecorded(override: Override, tree: Any) -> None:
    """InputError for ~ of a knob: its class would take a value of its own, which no record of the run holds."""
    name, part = override.key_or_group, tree
    *above, last = name.split(".")
    for key in above:
        part = part.get(key) if isinstance(part, dict) else None
    if isinstance(part, dict) and "_target_" in part and last != "fit":
        raise InputError(f"~{name}: its class would take a value of its own, which is on no record: type {name}=VALUE")
