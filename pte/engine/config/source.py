"""A knob by the name that a person typed: `protocol.withhold` takes its value from `selector.fit.withhold`, and a
sentence on the one must name the other, which was typed. A value that cannot be resolved is answered in a sentence too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pte.schema import InputError, typed
from pte.schema.knob import leaves

REFERENCE = re.compile(r"\$\{(?:oc\.select:)?(\.*)([\w.]+)[,}]")
RESOLVING = re.compile(r"^\w+ raised while resolving interpolation: ")
KNOB = re.compile(r"\b[a-z_]\w*(?:\.\w+)+(?==)")


def words(hydra_config: DictConfig) -> list[str]:
    """A job's overrides as they were typed: what they take from elsewhere is not looked up."""
    task: list[str] = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)  # type: ignore[assignment]
    return task


@contextmanager
def names_as_typed(cfg: DictConfig, words: Sequence[str]) -> Iterator[None]:
    """Let an InputError name the knobs of `words` in place of those that take their values from them."""
    try:
        yield
    except (InputError, OmegaConfBaseException) as error:
        tree: Any = OmegaConf.to_container(cfg, resolve=False)
        known = {word.lstrip("+~").partition("=")[0] for word in words}
        plain = str(error) if isinstance(error, InputError) else unresolved(error, tree, known)
        sentence = KNOB.sub(lambda match: source(tree, match[0], known), plain)
        if sentence == str(error):
            raise
        raise InputError(sentence) from error.__cause__


def unresolved(error: OmegaConfBaseException, tree: Mapping[str, Any], known: set[str]) -> str:
    """The first of OmegaConf's lines, on the knob whose value it could not find out."""
    reason = RESOLVING.sub("", str(error).strip().partition("\n")[0]).strip("\"'")
    if not error.full_key:
        return reason
    name = source(tree, error.full_key, known)
    if "'backbone.fit." in reason:
        reason += "; a backbone names its schedule (conf/backbone/fit): defaults: [fit: sasrec, _self_]"
    return f"{name}={typed(dict(leaves(tree)).get(name))}: {reason}"


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
