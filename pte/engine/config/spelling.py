"""The names there are, and which of them a mistyped one may have meant."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import yaml
from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf

from pte.paths import CONF_DIR
from pte.schema.knob import leaves


def suggestion(typed: str, known: list[str], group: str = "", exact: bool = False) -> str:
    """What is spelt alike, as a question; a knob typed without its group is found by its last part, exact: so alone."""
    part = typed.rpartition(".")[2] if exact else typed
    last = sorted((n for n in known if n.rpartition(".")[2] == part), key=lambda n: n.count("."))
    close = last[:3] or ([] if exact else _close(typed, {name: name for name in known}, 0.6))
    if not close and not exact:
        close = _close(typed.rpartition(".")[2], {name.rpartition(".")[2]: name for name in known}, 0.75)
    return f"; did you mean {' or '.join(f'{group}={name}' if group else name for name in close)}?" if close else ""


def _close(typed: str, names: Mapping[str, str], cutoff: float) -> list[str]:
    """What of `names` stands for the spelling closest to what was typed, whatever the case of either."""
    known = {spelling.lower(): name for spelling, name in names.items()}
    return [known[match] for match in get_close_matches(typed.lower(), list(known), n=1, cutoff=cutoff)]


def elsewhere(knob: str) -> str:
    """The options of a knob's group, or of a group nested in it, that have it."""
    top, _, rest = knob.partition(".")
    places: dict[str, list[str]] = {}
    for file in sorted((CONF_DIR / top).rglob("*.yaml")) if rest else []:
        group = file.parent.relative_to(CONF_DIR)
        for name in [] if group.name == "base" else _knobs(file, ".".join(group.parts)):
            if name.rpartition(".")[2] == rest.rpartition(".")[2]:
                places.setdefault(name, []).append(f"{group}={file.stem}")
    own = {knob: places[knob]} if knob in places else places
    hints = [f"{'' if name == knob else f'{name}, '}a knob of {' or '.join(where)}" for name, where in own.items()]
    return f"; it is {' or '.join(hints)}" if hints else ""


def _knobs(file: Path, group: str) -> list[str]:
    """The knobs of an option file, with those of the files that it stands on (base/NAME@_here_)."""
    text = file.read_text("utf-8")
    options = yaml.safe_load(text)
    where = "" if text.startswith("# @package _global_") else f"{group}."
    bases = [str(entry).removesuffix("@_here_") for entry in options.get("defaults", []) if "@_here_" in str(entry)]
    inner = [name for base in bases for name in _knobs(file.parent / f"{base}.yaml", group)]
    return [*(f"{where}{leaf}" for leaf, _ in leaves(options) if leaf != "defaults"), *inner]


def known_names(name: str, words: list[str]) -> list[str]:
    """Every knob and group there is beside the selected options."""
    choices = [
        w for w in words if (CONF_DIR / w.lstrip("+").partition("=")[0]).is_dir() or w.startswith("hydra.search")
    ]
    try:
        config = OmegaConf.to_container(compose(name, overrides=choices), resolve=False)
    except HydraException:
        config = OmegaConf.to_container(compose(name), resolve=False)
    names = dict.fromkeys(leaf for leaf, _ in leaves(config, lists=True, empty=True))
    inner = (leaf.rsplit(".", cut)[0] for leaf in names for cut in range(1, leaf.count(".") + 1))
    return list(dict.fromkeys([*names, *inner]))
