"""Marks of a constructor's keywords, read with and without postponed annotations."""

from typing import NotRequired, TypedDict, Unpack

import pytest

from pte.schema import Resolved, Runtime
from pte.schema.knob import MARKS, divided, keywords, mark


class Rest(TypedDict):
    folder: NotRequired[Resolved[str | None]]
    rounds: int


class Engine:
    def __init__(self, *, model: str, batch_size: Runtime[int], **rest: Unpack[Rest]) -> None: ...


@pytest.mark.parametrize(
    ("annotation", "says"),
    [("Runtime[int]", ("Runtime", "int")), ("Resolved[str | None]", ("Resolved", "str | None")),
     (NotRequired[Resolved[str]], ("Resolved", "str")), ("knob.Runtime[int]", ("Runtime", "int")),
     ("int | None", ("", "int | None")), ("Sequence[int]", ("", "Sequence[int]")),
     (Runtime[int], ("Runtime", "int")), (Resolved[str | None], ("Resolved", "str | None")), (int, ("", "int"))],
)  # fmt: skip
def test_a_mark_and_what_it_is_around(annotation, says):
    assert mark(annotation) == says


def test_keywords_handed_on_are_those_of_the_class_above():
    from pte.backbone.bsarec import BSARec

    assert {"alpha", "c", "length", "heads", "loss"} <= set(keywords(BSARec))


def test_keywords_of_profilers_are_those_of_the_loop_too():
    from pte.profiler.transformers import TransformersProfiler

    kinds = keywords(TransformersProfiler)
    assert mark(kinds["templates"]) == ("Resolved", "str | None")
    assert kinds["rounds"] is int


def test_marked_knobs_are_parted_from_the_others_in_parts_too():
    config = {
        "part": {"_target_": "Engine", "model": "m", "batch_size": 4, "rounds": 2, "folder": "f"},
        "plain": {"batch_size": 4}, "seed": 0,
    }  # fmt: skip
    rest, apart = divided(config, {"Engine": Engine}.__getitem__, *MARKS)
    assert rest["part"] == {"_target_": "Engine", "model": "m", "rounds": 2}
    assert apart == {"part": {"batch_size": 4, "folder": "f"}}
    assert (rest["plain"], rest["seed"]) == ({"batch_size": 4}, 0), "what no class describes is marked by nothing"
    rest, apart = divided(config, {"Engine": Engine}.__getitem__, "Runtime")
    assert apart == {"part": {"batch_size": 4}}
