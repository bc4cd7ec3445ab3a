"""From raw completions to profiles."""

import pytest

from pte.profiler.text.parse import read, refuses
from pte.profiler.text.style import JSON_LEAD, Answer

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


@pytest.mark.parametrize(
    "completion",
    [
        f"<think>\n\n</think>\n\n{LEAD} love trains.",
        f"<think>They like trains. It suits them.</think> {LEAD} love trains.",
        f"They like trains.\n</think>\n{LEAD} love trains.",  # a template opened the block
        f"<THINKING>a\nb</THINKING>\n{LEAD} love trains.",
        f"[THINK]Trains, I guess.[/THINK]{LEAD} love trains.",
        f"Sure! Here is the profile:\n\n{LEAD} love trains.",
        f"Here's the description: {LEAD} love trains.",
        f"Certainly.\n{LEAD} love trains.",
        f"The profile you wanted:\n\n{LEAD} love trains.",
        f"**{LEAD}** love trains.",
        f"**{LEAD} love trains.**",
        f"_{LEAD}_ love trains.",
        "it suits people who love trains.",
        f'"{LEAD} love trains."',
        f"### Answer: {LEAD} love trains.",
        f"<|channel|>analysis<|message|>Trains.<|end|><|start|>assistant<|channel|>final<|message|>{LEAD} love trains.",
        f"<|channel|>final<|message|>{LEAD} love trains.<|return|>",
    ],
)
def test_what_stands_around_an_answer_goes(completion):
    assert read(LEAD, completion) == f"{LEAD} love trains."


@pytest.mark.parametrize(
    "completion", ["<think>They like trains and", "<|channel|>analysis<|message|>They like trains.", "<think></think>"]
)
def test_reasoning_alone_is_unusable(completion):
    assert read(LEAD, completion) is None


@pytest.mark.parametrize(
    "completion",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot describe this item.",
        " I cannot assist with this request.",
        f"{LEAD} I'm sorry, but I can't help with that.",
        "As an AI language model, I have no opinion.",
        "Unfortunately, I cannot tell from the data.",
        "<think>hm</think>Sorry, there is too little here.",
        "There is not enough information to describe this item.",
    ],
)
def test_a_refusal_is_no_profile(completion):
    assert read(LEAD, completion) is None
    assert refuses(LEAD, completion)


def test_a_refusal_in_json_is_no_profile():
    assert read(JSON_LEAD, JSON_LEAD + 'I\'m sorry, but I cannot do this.", "tags": []}') is None
    assert refuses(JSON_LEAD, "I'm sorry, but I can't help with that.")


def test_an_apology_inside_an_answer_is_no_refusal():
    assert refuses(LEAD, " cannot get enough of trains.") is refuses(LEAD, " can't be described in a word.") is False
    assert read(LEAD, " feel sorry for lost toys.") == f"{LEAD} feel sorry for lost toys."
    assert not refuses(LEAD, " love trains.")


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (" love trains and quiet", None),
        (" love trains. They also love old", f"{LEAD} love trains."),
        (" love films with John C.", None),
        (" love trains. They like John C.", f"{LEAD} love trains."),
        (" love trains. They love cars.", f"{LEAD} love trains. They love cars."),
    ],
)
def test_a_cut_answer_ends_at_its_last_whole_sentence(completion, expected):
    assert read(LEAD, completion, "length") == expected


def test_a_cut_json_answer_keeps_a_summary_that_is_whole():
    assert read(JSON_LEAD, 'Loves quiet trains", "tags": ["rail", "st', "length") == "Loves quiet trains."
    assert read(JSON_LEAD, "Loves quiet trains and", "length") is None
    assert read(JSON_LEAD, "Loves quiet trains. And", "length") == "Loves quiet trains."


@pytest.mark.parametrize(
    "name", ["John C. Reilly", "Dr. No", "J. R. R. Tolkien", "Mrs. Doubtfire", "the U.S. Marshals"]
)
def test_an_initial_ends_no_sentence(name):
    text = f" love {name} a lot. They love him. They laugh. They cry."
    assert read(LEAD, text) == f"{LEAD} love {name} a lot. They love him. They laugh."


def test_a_list_as_summary_is_joined_and_other_types_are_unusable():
    assert read(JSON_LEAD, '{"summary": ["Loves trains.", "Loves cars."], "tags": []}') == "Loves trains. Loves cars."
    assert read(JSON_LEAD, '{"summary": {"a": 1}}') is None
    assert read(JSON_LEAD, '{"summary": [1, 2]}') is None
    assert read(JSON_LEAD, '{"summary": null, "tags": ["a"]}') is None


@pytest.mark.parametrize(
    "completion",
    ["> It suits people who love trains.", "“It suits people who love trains.”",
     "### Profile\nIt suits people who love trains.",
     "It suits people who: love trains.", "- It suits people who love trains.", "1. It suits people who love trains.",
     " love trains. Let me know if you need more!", "<|assistant|> It suits people who love trains.",
     "◁think▷It is late.◁/think▷It suits people who love trains.", "\u200bIt suits people who love trains.",
     "It suits people who\nlove trains.", "<THINKING>\n</THINKING>\n\nlove trains."],
)  # fmt: skip
def test_what_is_wrapped_around_an_answer_goes(completion):
    assert read(LEAD, completion) == f"{LEAD} love trains."


@pytest.mark.parametrize(
    "completion",
    ["As a large language model, I cannot know.", "I'm afraid I can't do that.", "I must decline this request.",
     "Je suis désolé, mais je ne peux pas.", "It is not possible for me to describe this.", "I'd rather not.",
     "No information is available.", "I don't know anything about this item.", "抱歉，我不能。",
     "It would be inappropriate for me to describe this.", "Cannot be determined from this.",
     "The item's description is missing, so I cannot say whom it suits.", "cannot be inferred from the title alone.",
     "Error: content filtered"],
)  # fmt: skip
def test_refusals_in_other_words_are_refusals(completion):
    assert read(LEAD, completion) is None
    assert refuses(LEAD, completion)


@pytest.mark.parametrize(("least", "profile"), [(1, "It suits everyone."), (2, None), (12, None)])
def test_a_style_may_request_fewer_words_than_two(least, profile):
    assert read("It suits", "everyone.", limits=Answer(words=(least, 90))) == profile


@pytest.mark.parametrize(
    "name",
    ["Wm. Shakespeare", "Vol. II", "ver. 2.0", "Filme, z. B. Dr. No,", "films d'Ave. Q", "a la Sra. López",
     "Jazz, d.h. Bop,", "No. 5", "J.-P. Melville", "É. Zola", "vol. 2", "St. Ives", "Mt. Everest",
     "action, e.g. Die Hard,", "Sept. 11", "Super Mario Bros. Wonder", "op. 9, p. 12", "cars of 3.5 inches",
     "Star Wars - A New Hope", "C# and #1 fans", "Ph.D. students"],
)  # fmt: skip
def test_what_looks_like_an_end_or_a_list_is_neither(name):
    text = f" love {name} a lot. They love it. They laugh. They cry."
    assert read(LEAD, text) == f"{LEAD} love {name} a lot. They love it. They laugh."


@pytest.mark.parametrize("end", ["No. 5.", "ages 3 to 5.", "Plan 9.", "the Fig. 3)."])
def test_a_number_ends_a_sentence_and_begins_no_list(end):
    assert read(LEAD, f" love {end} They love trains.") == f"{LEAD} love {end} They love trains."


@pytest.mark.parametrize("rest", [": 1. Thomas 2. Percy", ": - Thomas", ". 1) Thomas", " • a", " 1. Thomas 2. Percy"])
def test_a_list_is_left_out(rest):
    assert read(LEAD, f" love trains{rest}") == f"{LEAD} love trains."


def test_dots_in_one_letter_are_three():
    assert read(LEAD, " wait… They come. And… go.") == f"{LEAD} wait... They come. And... go."


@pytest.mark.parametrize(
    ("completion", "profile"),
    [("Он любит поезда. Они любят машины. Они также", "Он любит поезда. Они любят машины."),
     ("Älä pelkää. Öljy on kallista. Ja", "Älä pelkää. Öljy on kallista."),
     ("喜欢火车的人。也喜欢汽车。还", "喜欢火车的人。 也喜欢汽车。"), ("वे गाते हैं। वे नाचते हैं। और", "वे गाते हैं। वे नाचते हैं।"),
     ("Les gens aiment ça. À Paris aussi. Et", "Les gens aiment ça. À Paris aussi.")],
)  # fmt: skip
def test_sentences_of_other_scripts_end_too(completion, profile):
    assert read("", completion, "length") == profile


@pytest.mark.parametrize(
    "link",
    ["toys.org", "me@toys.de", "http://toys.fr", "www.toys", "WWW.toys.com", "https://Toys.net", "shop.toys.co.uk"],
)
def test_a_sentence_with_any_link_goes(link):
    assert read(LEAD, f" love toys. Ask {link} today. They play.") == f"{LEAD} love toys. They play."


@pytest.mark.parametrize("name", ["Battle.net", "ASP.NET", "VB.NET", "Node.js"])
def test_a_product_named_like_a_host_is_no_link(name):
    profile = f"{LEAD} love toys. They know {name} well."
    assert read("", profile) == profile


WHOLE = f"{LEAD} love trains."


@pytest.mark.parametrize(
    "completion",
    ["<reasoning>hm</reasoning>{}", "<thoughts>hm</thoughts>{}", "<scratchpad>hm</scratchpad>{}",
     "<seed:think>hm</seed:think>{}",
     "<think:>hm</think:>{}", "<reflection>hm\n</reflection>\n{}", "<details><summary>x</summary>hm</details>{}",
     "<|begin_of_thought|>hm<|end_of_thought|>{}",
     "<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>{}<|end_of_solution|>",
     "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
     "<|channel>thought\nhm<channel|>{}", "<unused94>thought\nhm<unused95>{}",
     "Thinking...\nhm\n...done thinking.\n\n{}",
     "<|channel|>final<|constrain|>text<|message|>{}", "analysisThey like trains.assistantfinal{}",
     "<|channel|>commentary<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>{}"],
)  # fmt: skip
def test_reasoning_of_any_mark_goes(completion):
    assert read(LEAD, completion.format(WHOLE)) == WHOLE


@pytest.mark.parametrize(
    "completion",
    ["<answer>{}</answer>", "<think>hm</think><answer>{}</answer>", "<output>{}</output>", "<p>{}</p>", "– {}", "— {}",
     "a) {}", "(1) {}", "• {}", "# {}", "**Profile:** {}", "> {}", "```text\n{}\n```", "‚{}‘", "‘{}’", "'{}'", "»{}«",
     "«\u00a0{}\u00a0»", "「{}」", "『{}』", "({})", "[{}]", "Final answer: {}", "Result: {}", "Output: {}",
     "Great! {}", "Got it. {}", "Based on the data: {}", "Item profile: {}", "Profile — {}"],
)  # fmt: skip
def test_any_wrapping_goes(completion):
    assert read(LEAD, completion.format(WHOLE)) == WHOLE


@pytest.mark.parametrize("rest", ["... love trains.", "… love trains.", " - love trains.", " — love trains."])
def test_a_lead_that_trails_off_goes_on(rest):
    assert read(LEAD, LEAD + rest) == WHOLE
    assert read(LEAD, "<b>" + LEAD + "</b>" + rest) == WHOLE


@pytest.mark.parametrize("lead", ["It's for dads who", "It’s for dads who"])
@pytest.mark.parametrize("apostrophe", "'’ʼ′")
def test_a_lead_is_known_by_any_apostrophe(lead, apostrophe):
    assert read(lead, f"It{apostrophe}s for dads who love trains.") == f"{lead} love trains."


@pytest.mark.parametrize(
    "rest",
    ["love 'Cars' and 'Up'.", "love Cars (2006) and Up (2009).", "love a final answer: trains.", "love great! trains."],
)
def test_marks_within_an_answer_stay(rest):
    assert read(LEAD, f" {rest}") == f"{LEAD} {rest}"
    assert read(LEAD, f"{LEAD} {rest}") == f"{LEAD} {rest}"
