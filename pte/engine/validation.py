"""Type check of the configuration before any work: each value has the type of the shipped one.

Ranges and combinations are checked by the class that a value configures (pte/engine/config/signature, constructors,
pte/train/check for the trainer); the dry run builds them all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pte.engine.config import source
from pte.schema import InputError, typed
from pte.schema.knob import leaves

SHA256 = re.compile(r"[0-9a-f]{64}|\$\{.*\}")
SEEDS = 2**32 - 1  # what every generator takes
LENGTHS = {"optimizer.betas": 2, "protocol.shares": 3}
WORDS_TOO = ("trainer.devices", "representation.cross_attention", "encoded")  # auto; residual; or a list


def check_job(config: DictConfig) -> None:
    """`check` of the configuration of the job that Hydra runs, by the names a person typed."""
    job: Any = HydraConfig.get()
    words = source.words(job)
    choices = [word for word in words if word.lstrip("+~").partition("=")[0] in job.runtime.choices]
    usual = compose("config", overrides=choices) if len(choices) < len(words) else config
    for resolve in (False, True):  # a part in place of a value, or the reverse, may leave others nothing to refer to
        trees: list[Any] = [OmegaConf.to_container(each, resolve=resolve) for each in (config, usual)]
        (check if resolve else check_parts)(*trees)


def check_parts(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """InputError for knobs where `usual` has one value, and for one value where it has knobs."""
    given, shipped = (dict(leaves(each, lists=True, empty=True)) for each in (config, usual))
    for name, value in given.items():
        above = name.rpartition(".")[0]
        if shipped.get(above) not in (None, {}) and not str(shipped[above]).startswith("${"):
            raise InputError(f"{above}={{{name.rpartition('.')[2]}: ...}}: give one value, as {typed(shipped[above])}")
        inside = [other for other in shipped if other.startswith(f"{name}.")]
        if inside and not str(value).startswith("${"):
            raise InputError(
                f"{name}={typed(value)}: it holds knobs of its own, such as {inside[0]}={typed(shipped[inside[0]])}"
            )


def check(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """InputError for a value whose type differs from that in `usual`, the same options without overrides."""
    check_parts(config, usual)
    given, shipped = (dict(leaves(each, lists=True, empty=True)) for each in (config, usual))
    for name, value in given.items():
        if name.rpartition(".")[2] in ("seed", "cut_seed"):
            whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SEEDS
            if not whole:
                raise InputError(f"{name}={typed(value)}: give a whole number, 0 to {SEEDS}")
        elif ("sha256" in name and value is not None) and not SHA256.fullmatch(str(value)):
            raise InputError(
                f"{name}={typed(value)}: give 64 digits 0-9 and a-f, or null where it is not to be checked"
            )
        elif name not in WORDS_TOO and (value is not None or _needed(name, shipped.get(name))):
            _kind(name, value, shipped.get(name))


def _needed(name: str, expected: Any) -> bool:
    """Whether null is no value of a knob, where no constructor of ours says so."""
    return (
        isinstance(expected, list)
        or name.endswith("_target_")
        or (expected is not None and ("." not in name or name.startswith(("optimizer.", "reward.weights."))))
    )


def _kind(name: str, value: Any, expected: Any) -> None:
    """Refuse a value of another kind than the shipped one."""
    if name.rpartition(".")[2] == "_target_" and not isinstance(value, str):
        raise InputError(f"{name}={typed(value)}: give the name of a class, as pte.backbone.sasrec.SASRec")
    if isinstance(expected, bool):
        if not isinstance(value, bool):
            raise InputError(f"{name}={typed(value)}: give true or false")
    elif isinstance(expected, int | float):
        if not _number(value):
            raise InputError(f"{name}={typed(value)}: give a number, as {typed(expected)}, which it is by default")
    elif isinstance(expected, str) and isinstance(value, list | bool | Mapping):
        raise InputError(f"{name}={typed(value)}: give one word, as {typed(expected)}, which it is by default")
    elif isinstance(expected, list):
        numbers = all(map(_number, expected))
        if not isinstance(value, list) or (expected and numbers and not all(map(_number, value))):
            raise InputError(f"{name}={typed(value)}: give a list, as {typed(expected)}, which it is by default")
        if len(value) != LENGTHS.get(name, len(value)):
            raise InputError(f"{name}={typed(value)}: give {LENGTHS[name]} numbers, as {typed(expected)}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
