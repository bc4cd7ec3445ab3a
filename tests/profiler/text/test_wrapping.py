"""What a chat model writes around its answer, which no list can hold: told by rule."""

import pytest

from pte.profiler.text import parse, wrapping
from pte.profiler.text.parse import breaks_json, read, refuses
from pte.profiler.text.style import JSON_LEAD

LEAD, WHOLE = "It suits people who", "It suits people who love trains."
WRAPPINGS = [
    "\\boxed{%s}", "$\\boxed{\\text{%s}}$", "$$\\boxed{%s}$$", "\\[\\boxed{%s}\\]", "The answer is \\boxed{%s}.",
    "\\textbf{%s}",
    '{"profile": "%s"}', '```json\n{"profile": "%s"}\n```', '{"text": "%s", "tags": ["a"]}',
    '{"user": {"id": 3, "text": "%s"}}',
    '["%s"]', '[{"text": "%s"}]', "{'profile': '%s'}", '{profile: "%s"}', '{"a": "%s"}', '{"answer": ["%s"]}',
    '{"profile": "%s',
    '{"reasoning": "They like whatever runs on rails, and so trains.", "profile": "%s"}',
    'Here it is:\n{"profile": "%s"}',
    "**Answer**: %s", 'Answer: "%s"', "Final Answer:\n\n%s", "The answer is: %s", "A: %s", "Description - %s",
    "Option 1: %s",
    "Profile of user 12: %s", "1. **Profile:** %s", "[Profile] %s", "[ANSWER] %s [/ANSWER]", "profile = %s",
    "Profile\n=====\n%s",
    "Sure thing! %s", "Absolutely — here it is: %s", "Of course! Here's a profile for it:\n\n%s", "✅ %s", "➡️ %s",
    '"""%s"""', "''%s''", "“%s” — this is the profile.", '"%s', '%s"', "\"'%s'\"", "&quot;%s&quot;", "〝%s〞", "<<%s>>",
    "~~%s~~",
    "==%s==", "{{%s}}", "| %s |", "| Profile | %s |", "| Profile |\n|---|\n| %s |", "~~~\n%s\n~~~", "---\n%s\n---",
    "<user_profile>\n%s\n</user_profile>", '<div class="x">%s</div>', "<!-- profile -->\n%s", "%s\\n", "... %s",
    "<|im_start|>assistant\n%s<|im_end|>\n<|im_start|>user\nMore.",
    "%s<|eot_id|><|start_header_id|>user<|end_header_id|> Go on.",
    "%s</s>", "%s Note: this is from the data.", "%s Is there anything else I can help you with?", "%s (25 words)",
]  # fmt: skip


@pytest.mark.parametrize("text", [WHOLE, "love trains.", WHOLE.lower()], ids=["lead", "rest", "small"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_any_wrapping_goes(wrapping, text):
    assert read(LEAD, wrapping % text) == WHOLE


@pytest.mark.parametrize(
    "completion",
    ["Based on these films, it suits people who love trains.", "I would say it suits people who love trains.",
     "This film suits people who love trains.", "People who love trains.", "who love trains.", "XYZ: " + WHOLE,
     "They seem to like railways.\n\n" + WHOLE],
)  # fmt: skip
def test_the_lead_is_written_once(completion):
    assert read(LEAD, completion) == WHOLE


@pytest.mark.parametrize(
    "rest",
    ["love \"Cars\" and \"Up\".", "love films like \"Cars\".", "'dig' jazz.", "'dig' \"Up\".",
     "love trains (and cars).",
     "love Q&A: shows.", "love $5 toys and $9 toys.", "cannot sleep without a book.", "don't like noise.",
     "need more information than most.", "say sorry a lot.", "like it, as \"Cars (2006) or 'Up (2009)'.\""],
)  # fmt: skip
def test_what_belongs_to_an_answer_stays(rest):
    whole = f"{LEAD} {rest}".replace('"', "'")
    assert read(LEAD, rest) == read(LEAD, f"{LEAD} {rest}") == whole
    assert not refuses(LEAD, rest)


@pytest.mark.parametrize(
    ("lead", "completion", "profile"),
    [("This is", "great, quirky fun about toys.", "This is great, quirky fun about toys."),
     ("This is", "a film about trains. This is a classic.", "This is a film about trains. This is a classic."),
     ("They show a taste for", " 'Up' and such films.", "They show a taste for 'Up' and such films."),
     ("They show a taste for", "a taste for old films.", "They show a taste for old films."),
     ("This is", "Sure, this is a film about toys.", "This is a film about toys.")],
)  # fmt: skip
def test_leads_of_few_words(lead, completion, profile):
    assert read(lead, completion) == profile


TRAINS = "Loves quiet trains."


@pytest.mark.parametrize(
    "completion",
    ['{"profile": "%s"}', '{"text": "%s"}', '{"summary": {"text": "%s"}}', '```json\n{"profile": "%s"}\n```', "%s",
     "**Summary:** %s", "Summary: %s\nTags: a, b", "{'summary': '%s', 'tags': ['a']}", '{"data": {"summary": "%s"}}',
     '{ "Summary": "%s" }', '{summary: "%s"}', '{"summary": "%s",}', "\\boxed{{\"summary\": \"%s\"}}", "Sure! %s",
     '{"profile": {"summary": "%s", "contrast": "Unlike others they like none of the cars of this long list."}}'],
)  # fmt: skip
def test_json_of_another_shape_is_read(completion):
    assert read(JSON_LEAD, completion % TRAINS) == TRAINS


@pytest.mark.parametrize(
    "completion",
    ['Loves films like "Cars" and trains.', 'Loves films like "Cars" and trains.", "tags": ["rail"], "contrast": "x"}',
     'Loves films like \\"Cars\\" and trains.", "tags": ["rail", "st'],
)  # fmt: skip
def test_a_quote_that_is_not_escaped_ends_no_summary(completion):
    assert read(JSON_LEAD, completion) == "Loves films like 'Cars' and trains."


def test_a_fence_breaks_no_json():
    assert not breaks_json(JSON_LEAD, '```json\n{"summary": "a", "tags": [], "contrast": "b"}\n```')
    assert breaks_json(JSON_LEAD, '```json\n{"profile": "a"}\n```')


@pytest.mark.parametrize(
    "start", ["\\boxed{%s", '{"profile": "%s', '```json\n{"text": "%s', '"%s', "**%s", "<answer>%s", "“%s", "(%s"]
)
def test_a_cut_answer_in_a_wrapping_ends_at_its_last_whole_sentence(start):
    assert read(LEAD, start % f"{WHOLE} They also", "length") == WHOLE


@pytest.mark.parametrize(
    "completion",
    ["I can not do that.", "My apologies, but I cannot.", "I do not feel comfortable describing people.",
     "I won't be able to help.", "I have to refuse.", "It seems there's no information given.",
     "Request denied by policy.",
     "Could you provide more details?", "Please provide more details.", "I need more information to answer.",
     "Unable to generate a profile.", "Not enough data to say.", "No profile available.", "Not available.",
     "As an artificial intelligence, I have no taste.", "Leider kann ich das nicht.", "No puedo ayudar con eso.",
     "К сожалению, я не могу.", "很抱歉，我无法。", "Thank you for asking. I'm sorry, but no.", "[Insert profile here]",
     "I understand you want this, but I can't.", "\\boxed{I cannot answer}", '{"error": "I cannot help with that."}',
     '{"profile": "I\'m sorry, I can\'t."}', "**I'm sorry, but I can't.**", "Answer: I cannot tell.",
     "<add profile here>",
     f"{LEAD} I cannot say."],
)  # fmt: skip
def test_a_refusal_in_any_wrapping_is_one(completion):
    assert read(LEAD, completion) is None
    assert refuses(LEAD, completion)


@pytest.mark.parametrize("piece", ["{", '"', "\\a{", "(", "<a ", "A, ", "<think>", "| a ", "A\n", "I am ", '{"a": "'])
def test_a_long_answer_of_marks_alone_is_read_in_no_time(piece):
    for lead in (LEAD, JSON_LEAD):
        assert len(read(lead, piece * 20_000) or "") < 500


def test_an_answer_is_read_once_by_all_who_ask_in_a_row():
    text = " 'quiet trains', they say, and people far from home."
    wrapping.body.cache_clear()
    for ask in (parse.read, parse.refuses, parse.beyond_lead):
        ask("This is", text)
    assert wrapping.body.cache_info().misses == 1


def test_what_makes_nothing_new_is_not_tried_again():
    tries = []

    def shorter(text):
        tries.append(text)
        return text[1:] or text

    assert wrapping._limit_of(shorter, "abc") == "c"
    assert tries == ["abc", "bc", "c"]
