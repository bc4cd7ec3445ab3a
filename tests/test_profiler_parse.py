"""From raw completions to profiles."""

import pytest

from pte.profiler.parse import read
from pte.profiler.prompt import JSON_LEAD

LEAD = "It suits people who"


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (" love trains.", f"{LEAD} love trains."),
        (" love trains. They also love old", f"{LEAD} love trains."),  # broken off: the whole sentence stays
        (" love trains and quiet", f"{LEAD} love trains and quiet."),  # nothing else is there
        (" love trains. They love them. They love them.", f"{LEAD} love trains. They love them."),
        (" love trains.\n\nNote: I am a model.", f"{LEAD} love trains."),
        (" love old trains: 1. Thomas 2. Percy", f"{LEAD} love old trains."),
        (f"{LEAD} love trains.", f"{LEAD} love trains."),  # a served model repeats its beginning
        ("\nlove trains.", f"{LEAD} love trains."),
        (" love trains.<|im_end|>", f"{LEAD} love trains."),
        (" love Dr. No and the U.S. of the 60s.", f"{LEAD} love Dr. No and the U.S. of the 60s."),
        (" a b c. One two. Three four. Five six.", f"{LEAD} a b c. One two. Three four."),
    ],
)
def test_plain_text(completion, expected):
    assert read(LEAD, completion) == expected


def test_a_sentence_with_a_link_goes():
    assert (
        read(LEAD, " love toys. Buy them at www.toys.com today. They play a lot.")
        == f"{LEAD} love toys. They play a lot."
    )
    assert read(LEAD, " buy at https://toys.com.") is None


@pytest.mark.parametrize("completion", ["", "   ", "\n", ":", ':\n\n- "Toy Story"', " love.", " 1. Toys", "<|im_end|>"])
def test_unusable(completion):
    assert read(LEAD, completion) is None


def test_a_colon_sticks_to_the_lead():
    assert read("This is", ": a film about toys.") == "This is: a film about toys."


def test_json_gives_summary_and_tags_alone():
    completion = 'Loves trains.", "tags": ["rail", "steam"], "contrast": "Unlike others, no cars."} Bye'
    assert read(JSON_LEAD, completion) == "Loves trains. rail, steam."
    assert read(JSON_LEAD, JSON_LEAD + completion) == "Loves trains. rail, steam."
    assert read(JSON_LEAD, f"Sure:\n```json\n{JSON_LEAD}{completion}\n```") == "Loves trains. rail, steam."


def test_broken_json_gives_its_summary():
    assert read(JSON_LEAD, 'Loves quiet trains.", "tags": ["rail", "st') == "Loves quiet trains."
    assert read(JSON_LEAD, "") is None
    assert read(JSON_LEAD, '{"tags": 3}') is None


@pytest.mark.parametrize("tags", ['"rail"', "3", "null", '{"a": 1}'])
def test_tags_that_are_no_list_are_left_out(tags):
    assert read(JSON_LEAD, f'Loves quiet trains.", "tags": {tags}}}') == "Loves quiet trains."
