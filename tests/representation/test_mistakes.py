"""A value that cannot be is named, with its knob, before anything is trained."""

import pytest
import torch
from helper.representation import made, vectors

from pte.nn.sequence.attention import Attention
from pte.representation.alphafuse import NullSpace
from pte.schema import InputError


@pytest.mark.parametrize(
    ("kind", "knobs", "words"),
    [
        ("llm_esr", {"heads": 3}, r"representation.heads=3 does not divide 4"),
        ("llm_esr", {"neighbors": 0}, r"representation.neighbors=0"),
        ("llm_esr", {"pool": 1}, r"representation.pool=1"),
        ("rlmrec_con", {"temperature": 0}, r"representation.temperature=0"),
        ("rlmrec_gen", {"temperature": 0}, r"representation.temperature=0"),
        ("unisrec", {"experts": 0}, r"representation.experts=0"),
        ("unisrec", {"dropout": 1.0}, r"representation.dropout=1.0"),
        ("unisrec", {"dropout": -0.5}, r"representation.dropout=-0.5"),
        ("whitenrec", {"groups": 2.0}, r"representation.groups=2.0"),
        ("llm_only", {"components": 0}, r"representation.components=0"),
        ("alphafuse", {"null_space": NullSpace(None, dim=3.0)}, r"dim, a whole number"),
    ],
)
def test_it_names_the_knob(kind, knobs, words):
    with pytest.raises(InputError, match=words):
        made(kind, **knobs)


@pytest.mark.parametrize("kind", ["llm_only", "llm_init", "alphafuse"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_vectors_that_are_no_numbers(kind, value):
    broken = vectors()
    broken[2, 1] = value
    with pytest.raises(InputError, match="not finite"):
        made(kind, text=broken)


def test_vectors_that_say_nothing():
    with pytest.raises(InputError, match="all item vectors are alike"):
        made("llm_init", text=torch.ones_like(vectors()))


@pytest.mark.parametrize("dropout", [-0.5, 1.0, 1.5])
def test_attention_dropout(dropout):
    with pytest.raises(InputError, match=f"attention_dropout={dropout}"):
        Attention(width=4, heads=2, dropout=dropout)
