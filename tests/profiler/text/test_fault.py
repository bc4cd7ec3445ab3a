"""Faulty answers: each kind found, sound ones left alone, asked for once more, counted."""

import pytest

from pte.profiler.base import Completion, Query
from pte.profiler.loop.draft import AGAIN, WARM, read_answers, second_drafts
from pte.profiler.prompt import Prompt
from pte.profiler.text.fault import fault
from pte.profiler.text.parse import read
from pte.profiler.text.style import BRIEF, JSON_LEAD, load_style

STORIES = "slow stories about thieves who know that they will lose it all"
DATA = f'Title: "Heat"\ngenres: Crime\nPeople who chose it:\n- {STORIES}'
PLAIN = Prompt("what", BRIEF.item.instruction, DATA, "This is")
ASKED = Prompt("what", load_style("rich").item.instruction, DATA, JSON_LEAD, "Dwell on the need.")
SOUND = " a patient crime film for people who like long chases and quiet rooms."
SUMMARY = "A patient crime film for people who like long chases, quiet rooms and thieves with a code of honour."


def found(text, prompt=PLAIN, finish="stop", others=(), limits=BRIEF.item.answer):
    done = Completion(text, 9, finish)
    return fault(prompt, done, read(prompt.lead, text, finish, limits), limits, others)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SOUND, ""),
        (" good.", "unusable"),
        ("", "unusable"),
        ("I'm sorry, but I cannot.", "unusable"),
        (f" {STORIES}.", "copy"),
        (" eine geduldige Geschichte von Dieben, die alles verlieren werden, und von langen Nächten.", "language"),
        (" une histoire patiente de voleurs qui vont tout perdre dans la grande ville un soir.", "language"),
        (" una historia paciente sobre ladrones que pierden todo en una noche muy larga.", "language"),
        (" терпеливая история о ворах, которые знают, что потеряют все, что у них есть.", "language"),
        (" 一部关于小偷的耐心电影。 他们知道自己会失去一切 而且 很 慢 很 长 很 静 。", "language"),
        (" a film" + " and a chase" * 40 + ".", "long"),
        (" a crime film in particular, but I'm not sure what you would like to hear of it.", "address"),
        (" a crime film with long chases, and I would be happy to help with the next one.", "address"),
        (" a crime film called 'I Am Not Sure' or \"I will, can you\", with chases in the rain.", ""),
        (" a patient crime film of 1957 for people who like long chases and quiet rooms.", "year"),
        (" a patient crime film of the 1950s for people who like long chases and quiet rooms.", ""),
    ],
)
def test_each_fault_is_distinguished_from_a_sound_answer(text, kind):
    assert found(text) == kind


def test_an_answer_cut_at_the_limit_is_long_and_a_summary_without_its_contrast_is_broken_json():
    assert found(f"{SOUND} And it", finish="length") == "long"
    limits = load_style("rich").item.answer
    whole = f'{SUMMARY}", "tags": ["crime"], "contrast": "Slower than others."}}'
    assert found(whole, ASKED, limits=limits) == ""
    assert found(JSON_LEAD + whole, ASKED, limits=limits) == "", "a server says the whole object, lead included"
    assert found(f'{SUMMARY}", "tags": ["crime"]}}', ASKED, limits=limits) == "json"
    assert found('Good film.", "tags": [], "contrast": ""}', ASKED, limits=limits) == "short"


def test_the_words_of_another_candidate_are_a_duplicate_whatever_the_lead():
    other = "a patient crime film for people who like long chases and quiet rooms."
    assert found(SOUND, others=[other]) == "duplicate"
    assert found(SOUND, others=["a tense film about the police."]) == ""


def test_a_rich_profile_embeds_summary_and_tags_alone():
    limits = load_style("rich").item.answer
    completion = f'{SUMMARY}", "tags": ["crime", "heist"], "contrast": "Slower than the others."}}'
    assert read(JSON_LEAD, completion, "stop", limits) == f"{SUMMARY} crime, heist."


def answering(*texts):
    calls: list = []

    def answer(queries):
        calls.extend(queries)
        return [Completion(text, 5) for text in texts]

    return answer, calls


def drafts(*texts, temperature=0.0):
    queries = {(1, k): Query(PLAIN, k, temperature) for k in range(len(texts))}
    return read_answers(queries, [Completion(text, 5) for text in texts], BRIEF.item.answer)


def test_a_faulty_answer_is_requested_once_more_as_another_warmer_draw():
    answer, calls = answering(" a tense film about the police.")
    again = second_drafts(drafts(SOUND, ""), answer, BRIEF.item.answer)
    assert [(a.candidate, a.temperature) for a in calls] == [(1 + AGAIN, WARM)]
    (draft,) = again.values()
    assert (draft.profile, draft.attempt, draft.fault, draft.first) == (
        "This is a tense film about the police.", 1, "", "unusable",
    )  # fmt: skip


def test_where_the_second_is_no_better_the_first_stays_and_a_grave_fault_leaves_nothing_to_use():
    answer, _ = answering(SOUND)
    (draft,) = second_drafts(drafts(SOUND, SOUND), answer, BRIEF.item.answer).values()
    assert (draft.attempt, draft.fault, draft.profile is not None) == (0, "duplicate", True)
    answer, _ = answering("")
    (draft,) = second_drafts(drafts(""), answer, BRIEF.item.answer).values()
    assert (draft.fault, draft.profile) == ("unusable", None)


def test_what_a_server_refuses_is_not_requested_again():
    refused = read_answers({(1, 0): Query(PLAIN, 0, 0.7)}, [Completion("", 0, "content_filter")], BRIEF.item.answer)
    assert second_drafts(refused, answering()[0], BRIEF.item.answer) == {}


def test_a_year_of_the_evidence_is_no_fault():
    dated = Prompt("what", BRIEF.item.instruction, f"{DATA}\nyear: 1995", "This is")
    assert found(" a patient crime film of 1995 for people who like long chases.", dated) == ""
    assert found(" a patient crime film of 1996 for people who like long chases.", dated) == "year"


def test_a_title_that_speaks_of_itself_is_no_address():
    titled = Prompt("what", BRIEF.item.instruction, DATA.replace("Heat", "I'm Not There"), "This is")
    assert found(" a gentle film, I'm Not There, for people who like folk songs and quiet rooms.", titled) == ""
    assert found(" a gentle film, and I am glad to help people who like quiet rooms.", titled) == "address"
