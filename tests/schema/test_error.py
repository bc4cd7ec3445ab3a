"""Sentences on knobs show values as they are typed."""

from __future__ import annotations

import pytest

from pte.paths import cache_dir, expanded
from pte.schema import InputError, Interactions, of_kind, require, typed


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "null"), (True, "true"), (False, "false"), (1, "1"), (0.5, "0.5"), ("a", "a"), ([1, None], "[1,null]"),
     ((True, "a"), "[true,a]"), ({"a": None, "b": [1]}, "{a:null,b:[1]}")],
)  # fmt: skip
def test_a_value_is_written_as_it_is_typed(value, written):
    assert typed(value) == written
    with pytest.raises(InputError) as caught:
        require(False, "a.b", value, "give another")
    assert str(caught.value) == f"a.b={written}: give another"


def test_a_sentence_needs_no_care_for_it():
    assert str(InputError("a.b=None: c.d=True or e=False, not None")) == "a.b=null: c.d=true or e=false, not None"
    assert str(InputError("a.b=Nonesuch")) == "a.b=Nonesuch"


@pytest.mark.parametrize("variable", ["PTE_CACHE", "XDG_CACHE_HOME"])
def test_a_home_of_nobody_names_its_knob(variable, monkeypatch):
    monkeypatch.delenv("PTE_CACHE", raising=False)
    monkeypatch.setenv(variable, "~nosuchuser/x")
    with pytest.raises(InputError, match=rf"{variable}=~nosuchuser/x: there is no such home folder"):
        cache_dir()
    with pytest.raises(InputError, match=r"a\.b=~nosuchuser: there is"):
        expanded("~nosuchuser", "a.b")


def test_a_thing_of_another_kind_is_reported_with_who_gave_it():
    given = Interactions.__new__(Interactions)
    assert of_kind(given, Interactions, object(), "read") is given
    with pytest.raises(InputError, match=r"^object\.read gave NoneType: let it give pte\.schema\.interactions\.Inter"):
        of_kind(None, Interactions, object(), "read")
