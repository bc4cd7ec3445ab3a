"""A knob by the name that a person typed: `protocol.withhold` takes its value from `selector.fit.withhold`, and a
sentence on the one is read by who typed the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pte.engine.config.secret import leaves
from pte.schema import InputError

REFERENCE = re.compile(r"\$\{(?:oc\.select:)?(\.*)([\w.]+)[,}]")
KNOB = re.compile(r"\b[a-z_]\w*(?:\.\w+)+(?==)")


@contextmanager
def names_as_typed(cfg: DictConfig, words: Sequence[str]) -> Iterator[None]:
    """Let an InputError name the knobs of `words` in place of those that take their values from them."""
    try:
        yield
    except InputError as error:
        tree: Any = OmegaConf.to_container(cfg, resolve=False)
        known = {word.lstrip("+~").partition("=")[0] for word in words}
        sentence = KNOB.sub(lambda match: source(tree, match[0], known), str(error))
        if sentence == str(error):
            raise
        raise InputError(sentence) from error.__cause__


def source(tree: Mapping[str, Any], name: str, known: set[str]) -> str:
    """The knob of `known` whose value a knob has, through `${...}` of an unresolved configuration; else itself."""
    values, at = dict(leaves(tree)), name
    while at not in known:
        match = REFERENCE.match(str(values.get(at)))
        if match is None:
            return name
        dots, other = match.groups()
        at = ".".join([*at.split(".")[: -len(dots)], other]) if dots else other
    return at
