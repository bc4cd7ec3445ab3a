"""Spellings of earlier versions, and options typed as values: each is answered with what to type now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pte.paths import CONF_DIR
from pte.schema import InputError

NESTED = {path.relative_to(CONF_DIR).as_posix() for path in CONF_DIR.glob("*/*") if path.is_dir()}

OPTIONS = {"backbone/loss": {"ce": "cross_entropy", "sampled": "sampled_softmax"}}  # old name -> name
KNOBS = {"loss_knobs": "loss"}  # a part's old name -> its name
SCHEDULE = ("max_epochs", "patience", "check_val_every_n_epoch", "batch_size", "warmup", "decay")  # once of fit
NAMES = {  # a knob's old name -> its name
    "representation.null_dim": "representation.null_space.dim",
    "representation.null_share": "representation.null_space.share",
    "representation.null_thres": "representation.null_space.threshold",
}


def refuse(config: Mapping[str, Any]) -> None:
    """InputError where a part that is a choice among options (conf/backbone/loss) was given a word, or an old name."""
    for name, value in _parts(config):
        head, _, last = name.rpartition(".")
        if last in KNOBS:
            knob, given = (
                next(iter(value.items()), ("KNOB", "VALUE")) if isinstance(value, Mapping) else ("KNOB", value)
            )
            raise InputError(f"{name}: {moved(f'{name}.{knob}')}{given}")
        if name in {f"backbone.fit.{knob}" for knob in SCHEDULE}:
            raise InputError(f"{name}={value}: a fit says trainer.{last}, as conf/backbone/fit/sasrec.yaml does")
        group = f"{name.partition('.')[0]}/{last}"
        word = value is not None and not isinstance(value, Mapping) and not str(value).startswith("${")
        if head and word and group in NESTED:
            raise InputError(f"{name}={value}: it is a choice among options: type {option(name, str(value))}")


def option(name: str, value: str) -> str:
    """How the option of a nested group is typed: backbone/loss=bce, backbone/loss@backbone.reader.loss=bce."""
    top, _, rest = name.partition(".")
    group = f"{top}/{rest.rpartition('.')[2]}"
    known = sorted(file.stem for file in (CONF_DIR / group).glob("*.yaml"))
    value = OPTIONS.get(group, {}).get(value, value)
    where = f"{group}@{name}" if "." in rest else group
    return f"{where}={value}" if value in known else f"{where}=OPTION, one of {', '.join(known)}"


def moved(name: str) -> str:
    """What to type for a knob of an old name, up to its value; empty where the name is no old one."""
    if name in NAMES:
        return f"type {NAMES[name]}="
    parts = name.split(".")
    if re.fullmatch(r"backbone\.(\w+\.)?fit\.\w+", name):
        return f"type {'trainer' if parts[-1] in SCHEDULE else 'backbone.fit'}.{parts[-1]}="
    for old, new in KNOBS.items():
        if old in parts:
            at = parts.index(old)
            top, knob = ".".join(parts[:at]), ".".join(parts[at + 1 :]) or "KNOB"
            return (
                f"a {new} is an option with its own knobs: type {option(f'{top}.{new}', '')}, and {top}.{new}.{knob}="
            )
    return ""


def _parts(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every node."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"{above}{key}", part
            yield from _parts(part, f"{above}{key}.")
