"""Marks on the keywords of a constructor: what of a configuration decides a result, and what is only how it runs.

    batch_size: Runtime[int] = 64    how it runs: in no key, so that another value finds the same artefact
    file: Resolved[str]              counts as what it stands for here (a file's content, a dtype), which keys have in
                                     its place: `fingerprint()`, `identity()`, pte/asset/local.knob_content

All other knobs are in the keys of the stages that read their group. A mark is the outermost part of an annotation.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NotRequired, TypeVar, Unpack, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")
Runtime = Annotated[T, "Runtime"]
Resolved = Annotated[T, "Resolved"]
MARKS = ("Runtime", "Resolved")

_MARKED = re.compile(rf"(?:\w+\.)*({'|'.join(MARKS)})\[(.*)\]$")


@cache
def keywords(target: Any) -> dict[str, Any]:
    """Keyword -> annotation of what a `_target_` names, with those that it hands on: to the class that it inherits from
    (`**rest`), or as a TypedDict (`**rest: Unpack[...]`).
    """
    if is_typeddict(target):
        return get_type_hints(target, include_extras=True)
    known: dict[str, Any] = {}
    for kind in getattr(target, "__mro__", (target,)):
        try:
            own = inspect.signature(kind).parameters
        except (TypeError, ValueError):  # written in C
            return known
        known = {**{name: p.annotation for name, p in own.items()}, **known}
        rest = next((p for p in own.values() if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        if rest is None:
            return known
        if str(rest.annotation).startswith("Unpack[") or get_origin(rest.annotation) is Unpack:
            constructor: Any = vars(kind)["__init__"] if isinstance(kind, type) else kind
            hint = get_type_hints(constructor, include_extras=True)[rest.name]
            known = {**keywords(get_args(hint)[0]), **known}
    return known


def mark(annotation: Any) -> tuple[str, str]:
    """The mark of an annotation, "" where it has none, and what it says beside."""
    if isinstance(annotation, str):
        match = _MARKED.fullmatch(annotation)
        return (match[1], match[2]) if match else ("", annotation)
    if get_origin(annotation) is NotRequired:
        annotation = get_args(annotation)[0]
    marks = [each for each in getattr(annotation, "__metadata__", ()) if each in MARKS]
    inner = annotation.__origin__ if marks else annotation
    plain = str(inner).replace("collections.abc.", "") if get_args(inner) else getattr(inner, "__name__", str(inner))
    return marks[0] if marks else "", plain


def leaves(value: Any, name: str = "", *, lists: bool = False, empty: bool = False) -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every leaf of a config. lists: they are leaves; else their items are, by their name.
    empty: so is a part without knobs.
    """
    if isinstance(value, Mapping) and (value or not empty):
        for key, part in value.items():
            yield from leaves(part, f"{name}.{key}" if name else str(key), lists=lists, empty=empty)
    elif isinstance(value, list | tuple) and not lists:
        for part in value:
            yield from leaves(part, name)
    else:
        yield name, value


def own_knobs(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what it passes to other groups (`fit`), however deep a part with a `fit` of its own may lie."""
    return {k: own_knobs(v) if isinstance(v, Mapping) else v for k, v in values.items() if k != "fit"}


def divided(
    config: Mapping[str, Any], locate: Callable[[str], Any], *marks: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A config without the knobs of these marks, its parts' too, and those alone. locate: the class of a `_target_`."""
    target = config.get("_target_")
    kinds = keywords(locate(target)) if isinstance(target, str) else {}
    rest: dict[str, Any] = {}
    apart: dict[str, Any] = {}
    for name, value in config.items():
        if mark(kinds.get(name, ""))[0] in marks:
            apart[name] = value
        elif isinstance(value, Mapping):
            rest[name], inner = divided(value, locate, *marks)
            apart |= {name: inner} if inner else {}
        else:
            rest[name] = value
    return rest, apart
