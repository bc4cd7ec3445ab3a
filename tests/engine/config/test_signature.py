"""A knob of another kind than its keyword's annotation is refused by its dotted name, however deep it lies."""

from collections.abc import Sequence

import pytest

from pte.engine.build import as_typed, construct
from pte.engine.config.signature import check, fits, kinds_of
from pte.schema import InputError, Runtime

ENCODER = {"_target_": "pte.nn.sequence.attention.Encoder", "_partial_": True, "inner": 8, "layers": 1, "heads": 1}
SASREC = {"_target_": "pte.backbone.sasrec.SASRec", "length": 4, "inner": 8, "layers": 1, "heads": 1, "dropout": 0}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({**ENCODER, "layers": 1.5}, "backbone.layers=1.5: give a whole number"),
        ({**ENCODER, "dropout": "much"}, "backbone.dropout=much: give a number"),
        ({**ENCODER, "dropout": float("nan")}, "backbone.dropout=nan"),
        ({**ENCODER, "heads": True}, "backbone.heads=true: give a whole number"),
        ({**ENCODER, "inner": None}, "backbone.inner=null: give a whole number"),
        ({"_target_": "pte.backbone.bsarec.BSARec", "heads": "two"}, "backbone.heads=two: give a whole number"),
        ({**SASREC, "loss": {"_target_": "pte.nn.loss.bce.BinaryCrossEntropy", "negatives": "many"}},
         "backbone.loss.negatives=many: give a whole number"),
        ({**SASREC, "loss": {"_target_": "pte.nn.loss.bce.BinaryCrossEntropy", "shared": 1}},
         "backbone.loss.shared=1: give true or false"),
        ({"_target_": "pte.representation.alphafuse.NullSpace", "share": "half"},
         "backbone.share=half: give a number or null"),
        ({"_target_": "pte.train.check.Knobs", "gradient_clip": "hard"},
         "backbone.gradient_clip=hard: give a number or null"),
        ({**SASREC, "loss": {"_target_": "pte.nn.loss.infonce.InfoNCE", "temperature": 1e-320}},
         "backbone.loss.temperature=1e-320: give 0, or a number from 1e-30"),
        ({**SASREC, "dropout": -1e10}, "backbone.dropout=-10000000000.0: give 0, or"),
        ({**SASREC, "length": 2**63}, "backbone.length=9223372036854775808: no machine"),
        ({"_target_": "pte.reward.mixture.Mixture", "weights": {"format": 1e308}}, "backbone.weights.format=1e[+]308"),
        ({"_target_": "pte.train.check.Knobs", "compile": 1}, "backbone.compile=1: give true or false"),
    ],
)  # fmt: skip
def test_another_kind_is_refused_by_name(values, words):
    with pytest.raises(InputError, match=words):
        construct(values, "conf/backbone")


def test_numbers_of_a_class_of_ones_own_are_bounded_by_it_alone():
    class Clock:
        def __init__(self, since: float) -> None:
            self.since = since

    check({"_target_": "mine.Clock", "since": 1.7e9}, "dataset", lambda name: Clock)
    with pytest.raises(InputError, match="give 0, or a number"):
        check({"_target_": "pte.Clock", "since": 1.7e9}, "dataset", lambda name: Clock)


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [("int", ["int"]), ("float | None", ["float", "None"]), (bool, ["bool"]), ("Sequence[str]", ["Sequence[str]"]),
     (Sequence[float] | None, ["Sequence[float]", "None"]), (Runtime[Sequence[int]], ["Sequence[int]"]),
     ("Mapping[str, int]", []),
     ("Loss", []), ("bool | str", ["bool", "str"]), ("Tensor | None", []), ("Runtime[int | str]", ["int", "str"])],
)  # fmt: skip
def test_plain_annotations_alone_are_read(annotation, kinds):
    assert kinds_of(annotation) == kinds


@pytest.mark.parametrize(
    ("value", "kind", "does"),
    [(1, "float", True), (1.0, "int", False), (True, "float", False), (123, "str", True), ([1], "str", False),
     (None, "None", True), (None, "int", False), (float("inf"), "float", False), ([1, 2.5], "Sequence[float]", True),
     ([1, float("nan")], "Sequence[float]", False), ([2.0], "Sequence[int]", False), (5, "Sequence[int]", False),
     ("ab", "Sequence[str]", False), (["a", 5], "Sequence[str]", True), ([None], "Sequence[str]", False),
     ({"a": 1}, "Sequence[str]", False), ([], "Sequence[int]", True), ("x", "bool", False)],
)  # fmt: skip
def test_what_fits_a_kind(value, kind, does):
    assert fits(value, kind) is does


@pytest.mark.parametrize(
    ("sentence", "typed"),
    [("backbone.heads=3 does not", "backbone.reader.heads=3 does not"),
     ("backbone.length=0: give", "backbone.length=0: give"),
     ("backbone.loss.negatives=0: give", "backbone.reader.loss.negatives=0: give"), ("no vectors", "no vectors"),
     ("backbone.unheard=1: give", "backbone.unheard=1: give"),
     ("backbone.length=5: give", "backbone.reader.length=5: give"),
     ("backbone.recency=2: type backbone.window=9", "backbone.memory.recency=2: type backbone.memory.window=9"),
     ("backbone.recency=1: give", "backbone.likeness.recency=1: give"),
     ("representation.sparse=true: type backbone/loss=bce (or gbce)",
      "representation.sparse=true: type backbone/loss@backbone.reader.loss=bce (or gbce)")],
)  # fmt: skip
def test_a_knob_of_a_part_is_named_where_the_part_lies(sentence, typed):
    values = {
        "length": 4, "reader": {"heads": 3, "length": 5, "loss": {"_target_": "Loss", "negatives": 0}},
        "likeness": {"recency": 1}, "memory": {"recency": 2, "window": 3},
    }  # fmt: skip
    assert as_typed(sentence, values, "backbone") == typed
