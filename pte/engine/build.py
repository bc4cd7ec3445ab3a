"""Objects from config groups: a group's `_target_` is the class, its other knobs are the constructor's keywords."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from pte.asset.code import targets
from pte.engine.config import contract, signature
from pte.engine.trust import locate, trusted
from pte.schema import InputError, typed
from pte.schema.knob import divided, leaves, own_knobs

KEYWORD = re.compile(r"(\w+)(?:\.__init__)?\(\) (got an unexpected|missing)[^']*'(\w+)'")
CANNOT = (TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError)  # of a value a class cannot use


def construct(values: Mapping[str, Any], where: str, modules: Sequence[str] = (), /, **facts: Any) -> Any:
    """The object that a config describes by its `_target_` and knobs; facts learnt at run time are keywords.

    modules: further ones whose classes may be built (`trust`).
    """
    for name in targets(values):
        locate(name, where, modules)
    signature.check(values, where.removeprefix("conf/"), lambda name: locate(name, where, modules))
    target = values.get("_target_")
    if target is None:
        raise InputError(f"{where} has no _target_: it must name the class to build")
    try:
        part = instantiate(dict(values), _convert_="all", **facts)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, TypeError) and (fault := KEYWORD.search(str(cause))):
            raise InputError(_of_keyword(values, where.removeprefix("conf/"), *fault.groups())) from None
        if isinstance(cause, RuntimeError) and "Storage size" in str(cause):  # of torch, for what no integer counts
            sizes = {name: each for name, each in leaves(values, where.removeprefix("conf/")) if isinstance(each, int)}
            name = max(sizes, key=lambda name: sizes[name])
            raise InputError(f"{name}={sizes[name]}: no machine holds a model of that size") from None
        if isinstance(cause, CANNOT):
            raise InputError(f"{where}: {target} cannot be built with these knobs ({cause})") from cause
        if isinstance(cause, InputError):
            raise InputError(as_typed(str(cause), values, where.removeprefix("conf/"))) from None
        raise cause or error from None
    except (TypeError, AttributeError) as error:  # _partial_, _convert_ ... of Hydra's own
        raise InputError(f"{where}: {' '.join(str(error).split())}") from None
    contract.check(part, values, where.removeprefix("conf/"))
    return part


def _of_keyword(values: Mapping[str, Any], group: str, kind: str, fault: str, knob: str) -> str:
    """What Python says of a keyword that a class does not know, or misses, by the knob's full name."""
    unknown = fault != "missing"
    parts = [(at, target) for at, target, knobs in signature.parts(values, group) if (knob in knobs) == unknown]
    own = [part for part in parts if part[1].rpartition(".")[2] == kind]
    at, target = (own or [(group, values["_target_"])])[0]
    fault = "there is no such knob" if unknown else "it must be given"
    return f"{at}.{knob}: {fault}; knobs are the keywords of {target}"


def as_typed(sentence: str, values: Mapping[str, Any], group: str) -> str:
    """A sentence on knobs and options by the names they are typed by: of a part, where the part lies
    (backbone.reader.heads=3, backbone/loss@backbone.reader.loss=bce). Of several parts with such a knob it is the one
    that has the value; what follows in the sentence is of the same part.
    """
    known, part = dict(leaves(values)), ""

    def in_full(match: re.Match[str]) -> str:
        nonlocal part
        joint, name, value = match.groups()
        leaf = name if joint == "." else f"{name}._target_"
        places = [place for place in known if f".{place}".endswith(f".{leaf}")]
        holder = [place for place in places if typed(known[place]) == value]
        usual = [place for place in (f"{part}{leaf}" * bool(part), *holder, leaf, *places) if place in places]
        if not usual:
            return match[0]
        part = usual[0].removesuffix(leaf)
        if joint == "." or not part:
            return f"{group}{joint}{part}{name}={value}"
        return f"{group}/{name}@{group}.{part}{name}={value}"

    return re.sub(rf"\b{re.escape(group)}([./])(\w[\w.]*)=(\[[^\]]*\]|[^\s:;,]*)", in_full, sentence)


def apart(values: Mapping[str, Any], config: Mapping[str, Any], *marks: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Groups of a config without the knobs of these marks (pte/schema/knob), and those knobs alone."""
    rest, modules = dict(values), trusted(config)
    marked: dict[str, Any] = {}
    for group, knobs in values.items():
        if isinstance(knobs, Mapping):
            rest[group], own = divided(knobs, partial(locate, where=f"conf/{group}", modules=modules), *marks)
            marked |= {group: own} if own else {}
    return rest, marked


def flag(config: Mapping[str, Any], group: str, name: str) -> bool:
    """A class attribute, such as `uses_text`, of the class that a group configures; the class is not built."""
    return bool(_attribute(config, group, name))


def uses_language_model(config: Mapping[str, Any]) -> bool:
    """Whether the profiler writes by a language model."""
    from pte.profiler.language import LanguageModelProfiler  # a worker asks nobody

    kind = locate(config["profiler"]["_target_"], "conf/profiler", trusted(config))
    return isinstance(kind, type) and issubclass(kind, LanguageModelProfiler)


def reads_users(config: Mapping[str, Any]) -> bool:
    """Whether the backbone takes users' text vectors (nn/contract)."""
    return bool(_attribute(config, "backbone", "reads_users")(config["backbone"]))


def trains_reader(config: Mapping[str, Any]) -> bool:
    """Whether the backbone has a reader that is trained in a stage of its own (nn/contract)."""
    return bool(_attribute(config, "backbone", "trains_reader")(config["backbone"]))


def _attribute(config: Mapping[str, Any], group: str, name: str) -> Any:
    """An attribute of the class that a group's `_target_` names."""
    target = config[group]["_target_"]
    try:
        return getattr(locate(target, f"conf/{group}", trusted(config)), name)
    except AttributeError:
        raise contract.lacking(group, target, name) from None


def builder(config: Mapping[str, Any]) -> Any:
    """`build(group, **facts)`: the object that a config group describes."""

    modules = trusted(config)

    def build(group: str, **facts: Any) -> Any:
        return construct(own_knobs(config[group]), f"conf/{group}", modules, **facts)

    return build
