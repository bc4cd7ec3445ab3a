"""Planted leaks are caught, by the rebuild and by reading back; clean profiles pass."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helper.profiles import ScriptedProfiler, save_parents
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pte.paths import CONF_DIR
from pte.profiler.evidence import prompt_writer
from pte.profiler.evidence.neighbor import user_neighbors
from pte.profiler.evidence.plain import NOBODY
from pte.profiler.none import MetadataProfiler
from pte.profiler.store.log import RecordLog
from pte.profiler.template import ITEM_FORMS, USER_FORMS, TemplateProfiler
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Cases, Generation, InputError, Profiles, Split, View, view_of, visible_view
from pte.schema.context import Context
from pte.stage import audit as audit_stage
from pte.stage.audit import audit, clean_rows, own_titles, read_back

PROFILERS = {
    "loop": ScriptedProfiler,
    "template": lambda: TemplateProfiler(num_candidates=4, item_forms=ITEM_FORMS, user_forms=USER_FORMS, titles=5),
    "none": lambda: MetadataProfiler(num_candidates=1, titles=10),
}


def written(kind: str, view: View, folder) -> Profiles:
    return PROFILERS[kind]().profile(view, log=RecordLog(folder))


def kinds(interactions, split, profiles, kind) -> set[str]:
    return {f.kind for f in audit(interactions, split, profiles, PROFILERS[kind]())}


def edit(profiles: Profiles, place: tuple, **changes) -> Profiles:
    """The profiles with one stored generation changed."""
    found = [
        replace(g, **changes) if (g.side, g.entity, g.round, g.candidate) == place else g for g in profiles.generations
    ]
    assert found != profiles.generations
    return Profiles.of(found)


@pytest.fixture(params=PROFILERS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def clean(kind, twelve, twelve_split, tmp_path) -> Profiles:
    return written(kind, visible_view(twelve, twelve_split), tmp_path / "log")


def test_clean_profiles_pass(kind, clean, twelve, twelve_split):
    assert audit(twelve, twelve_split, clean, PROFILERS[kind]()) == []


@pytest.mark.parametrize(("row", "kind_of_row"), [(8, "test"), (7, "valid"), (2, "withheld")])
def test_a_view_with_a_hidden_row_is_caught_both_ways(kind, row, kind_of_row, twelve, twelve_split, tmp_path):
    """The planted leak: texts written from a view that holds one row more."""
    rows = twelve_split.visible.copy()
    rows[row] = True
    view = View(twelve.user[rows], twelve.item[rows], 4, twelve.items)
    profiles = written(kind, view, tmp_path / "log")
    findings = audit(twelve, twelve_split, profiles, PROFILERS[kind]())
    assert {f.kind for f in findings} >= {kind_of_row, "text differs" if kind != "loop" else "prompt differs"}
    assert {f.kind for f in read_back(twelve, twelve_split, profiles)} == {kind_of_row}
    guilty = {f.entity for f in findings if f.kind == kind_of_row}
    assert guilty == {int(twelve.user[row])}


def test_a_split_that_shows_a_held_out_row_is_caught(kind, twelve, twelve_split, tmp_path):
    """The mistake one floor below: `visible` itself holds bob's test row."""
    visible = twelve_split.visible.copy()
    visible[8] = True
    split = replace(twelve_split, visible=visible)
    profiles = written(kind, visible_view(twelve, split), tmp_path / "log")
    assert {"split", "test"} <= kinds(twelve, split, profiles, kind)
    assert clean_rows(twelve, split).tolist() == clean_rows(twelve, twelve_split).tolist()


def test_an_edited_prompt_is_caught(twelve, twelve_split, tmp_path):
    profiles = written("loop", visible_view(twelve, twelve_split), tmp_path / "log")
    prompt = next(g.prompt for g in profiles.generations if (g.side, g.entity, g.candidate) == ("user", 1, 0))
    edited = edit(profiles, ("user", 1, 1, 0), prompt=prompt.replace('"Heat"', '"Fargo"'))
    assert kinds(twelve, twelve_split, edited, "loop") >= {"prompt differs", "test"}


def test_an_edited_text_is_caught(kind, clean, twelve, twelve_split):
    """The test film's title in one person's profile: the text no longer follows from its prompt."""
    place = next(
        (g.side, g.entity, g.round, g.candidate) for g in clean.generations if (g.side, g.entity) == ("user", 1)
    )
    found = audit(twelve, twelve_split, edit(clean, place, text="They love Fargo."), PROFILERS[kind]())
    assert "text differs" in {f.kind for f in found}
    assert {f.entity for f in found} == {1}


def test_an_edited_item_text_is_caught(kind, clean, twelve, twelve_split):
    place = [(g.side, g.entity, g.round, g.candidate) for g in clean.generations if (g.side, g.entity) == ("item", 6)][
        -1
    ]
    edited = edit(clean, place, text="Fargo. Chosen by bob after Toy Story.")
    assert kinds(twelve, twelve_split, edited, kind) == {"text differs"}


def test_candidates_that_are_not_those_of_the_generations_are_caught(kind, clean, twelve, twelve_split):
    other = Profiles(clean.user, [*clean.item[:-1], ["Fargo.", *clean.item[-1][1:]]], clean.generations)
    found = audit(twelve, twelve_split, other, PROFILERS[kind]())
    assert [(f.kind, f.side, f.entity) for f in found] == [("text differs", "item", 6)]


def test_missing_and_additional_generations_are_caught(kind, clean, twelve, twelve_split):
    fewer = Profiles(clean.user, clean.item, clean.generations[:-1])
    assert "missing" in kinds(twelve, twelve_split, fewer, kind)
    last = replace(clean.generations[-1], candidate=9)
    more = Profiles(clean.user, clean.item, [*clean.generations, last])
    assert "unexpected" in kinds(twelve, twelve_split, more, kind)


def test_a_visible_film_of_the_same_title_is_no_leak(twelve, twelve_split, tmp_path):
    """bob's test film and a visible film of his are both called Heat."""
    items = replace(twelve.items, title=["", "Toy Story", "GoldenEye", "Heat", "Alien", "Aliens", "Heat"])
    again = replace(twelve, items=items)
    for kind in PROFILERS:
        profiles = written(kind, visible_view(again, twelve_split), tmp_path / kind)
        assert audit(again, twelve_split, profiles, PROFILERS[kind]()) == []


def test_reading_back_finds_sections_whatever_wrote_them():
    prompt = (
        'Do.\n\nChosen by this person, latest first:\n- "Heat" (Crime): like "x"\n- "Alien"\n'
        'People with similar choices:\n- "Fargo" is told\n\nThis is'
    )
    assert list(own_titles(prompt)) == ["Heat", "Alien"]
    assert list(own_titles("Mostly: Crime\nRecently chose: Heat; Dr. No\nSimilar people also chose: Fargo")) == [
        "Heat",
        "Dr. No",
    ]


def test_a_prompt_that_tells_no_choices_cannot_pass_unread(twelve, twelve_split):
    odd = Generation("user", 1, 1, 0, "x", 0.7, "bob loved Fargo", "", "", parsed=True)
    assert [f.kind for f in read_back(twelve, twelve_split, Profiles([], [[""]], [odd]))] == ["unreadable"]


def test_a_title_of_nobody_is_reported_as_unknown(twelve, twelve_split):
    odd = Generation("user", 3, 0, 0, "recent", 0.0, "", "", "Recently chose: Heat; Alien", parsed=True)
    found = read_back(twelve, twelve_split, Profiles([], [[""]], [odd]))
    assert [(f.kind, f.entity) for f in found] == [("unknown", 3)]


def test_clean_rows_end_before_the_first_question(twelve, twelve_split):
    """Even a train row would not pass if it came after a question of its person; nor a row that does not train."""
    split = replace(twelve_split, visible=np.ones(12, bool), train=np.ones(12, bool))
    assert clean_rows(twelve, split).tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1]
    split = replace(split, train=np.arange(12) != 11)  # dee is set aside
    assert clean_rows(twelve, split).tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]
    split = replace(split, holdout=np.arange(12) == 1)
    assert clean_rows(twelve, split).tolist() == [1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]


def run_stage(folder, twelve, split, profiles, profiler, refit=None) -> None:
    texts = {"profiles": profiles} | ({"refit": refit} if refit else {})
    parents = save_parents(folder, twelve, split) | {stage: folder / stage for stage in texts}
    out, work = folder / "out", folder / "work"
    for path in (*(parents[stage] for stage in texts), out, work):
        path.mkdir()
    for stage, profiles_of in texts.items():
        profiles_of.save(parents[stage])
    audit_stage.run(Context({"profiler": {}}, parents, out, work, lambda group: profiler, []))


def test_the_stage_says_its_verdict(kind, clean, twelve, twelve_split, tmp_path, caplog):
    run_stage(tmp_path, twelve, twelve_split, clean, PROFILERS[kind]())
    assert caplog.messages[0].startswith("audit: clean.")
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert report["verdict"] == "clean"
    assert report["generations"] == len(clean.generations)
    assert report["titles_read_back"] > 5


def test_the_stage_fails_on_a_leak_and_leaves_its_report(kind, clean, twelve, twelve_split, tmp_path):
    place = next(
        (g.side, g.entity, g.round, g.candidate) for g in clean.generations if (g.side, g.entity) == ("user", 1)
    )
    edited = edit(clean, place, text="Recently chose: Fargo")
    with pytest.raises(InputError, match="LEAK"):
        run_stage(tmp_path, twelve, twelve_split, edited, PROFILERS[kind]())
    report = json.loads((tmp_path / "work" / "audit.json").read_text())
    assert report["findings_by_kind"]["text differs"] >= 1
    assert report["findings"][0]["entity"] == 1


def test_other_peoples_choices_are_counted_not_blamed(twelve, twelve_split, tmp_path):
    """bob's valid film is Toy Story, which ann and cy, who are like him, show."""
    profiles = written("template", visible_view(twelve, twelve_split), tmp_path / "log")
    report = audit_stage.summary(twelve, twelve_split, profiles, [])
    assert any("Similar people also chose: Toy Story" in text for text in profiles.user[1])
    assert report["held_out_titles_named_elsewhere"] >= 1


@pytest.fixture
def cold_split() -> Split:
    """ann and cy train; bob is a test user asked for each row but the first, dee a single row that is never asked."""
    train = np.isin(np.arange(12), [0, 1, 2, 3, 4, 9, 10])
    nobody = Cases(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, bool))
    test = Cases(np.full(3, 1, np.int32), np.arange(6, 9, dtype=np.int64), np.zeros(3, bool))
    return Split(train=train, visible=train & (np.arange(12) != 2), valid=nobody, test=test)


def test_a_person_who_trains_nothing_is_described_by_what_the_first_case_asks_from(kind, twelve, cold_split, tmp_path):
    """bob's GoldenEye alone; it is in nobody else's text, though ann and cy chose it too."""
    view = visible_view(twelve, cold_split)
    profiles = written(kind, view, tmp_path / "log")
    assert audit(twelve, cold_split, profiles, PROFILERS[kind]()) == []
    bob = [g.prompt or g.text for g in profiles.generations if (g.side, g.entity) == ("user", 1)]
    assert {title for text in bob for title in own_titles(text)} == {"GoldenEye"}
    assert set(profiles.user[3]) == {NOBODY}
    without = written(kind, replace(view, prefix=None), tmp_path / "other")
    assert set(without.user[1]) == {NOBODY}
    assert (without.item, without.user[0], without.user[2]) == (profiles.item, profiles.user[0], profiles.user[2])


def test_a_later_row_of_a_person_who_trains_nothing_is_a_leak(kind, twelve, cold_split, tmp_path):
    """The planted leak: the second row, which the first case asks for."""
    view = view_of(twelve, cold_split.visible, np.isin(np.arange(12), [5, 6]))
    found = audit(twelve, cold_split, written(kind, view, tmp_path / "log"), PROFILERS[kind]())
    assert {f.entity for f in found} == {1}
    assert {f.kind for f in found} == {"test", "text differs" if kind != "loop" else "prompt differs"}


def test_such_a_row_in_the_texts_of_others_is_a_leak(twelve, cold_split, tmp_path):
    """The planted leak: bob's first row as evidence on items and people, where his neighbours would cite it."""
    view = view_of(twelve, cold_split.visible | (np.arange(12) == 5), np.zeros(12, bool))
    found = audit(twelve, cold_split, written("loop", view, tmp_path / "log"), PROFILERS["loop"]())
    assert {("item", 2), ("user", 2)} <= {(f.side, f.entity) for f in found}


def test_neighbours_by_held_out_rows_are_caught(twelve, twelve_split, tmp_path, monkeypatch):
    """The planted leak: who is alike is counted with everybody's test rows; nobody's own lines say so."""
    everything = View(twelve.user, twelve.item, 4, twelve.items)
    with monkeypatch.context() as patch:
        patch.setattr(prompt_writer, "user_neighbors", lambda view, k: user_neighbors(everything, k))
        profiles = written("loop", visible_view(twelve, twelve_split), tmp_path / "log")
    assert {f.kind for f in audit(twelve, twelve_split, profiles, PROFILERS["loop"]())} == {"prompt differs"}
    assert read_back(twelve, twelve_split, profiles) == []


def test_another_entitys_profile_from_held_out_rows_is_caught(twelve, twelve_split, tmp_path):
    """The planted leak: Fargo's prompt cites bob, who chose it in the test; Fargo's profile then stands in others'."""
    rows = twelve_split.visible | (np.arange(12) == 8)
    leaky = written("loop", View(twelve.user[rows], twelve.item[rows], 4, twelve.items), tmp_path / "log")
    clean = written("loop", visible_view(twelve, twelve_split), tmp_path / "log")
    place = ("item", 6, 1, 0)
    (fargo,) = [g for g in leaky.generations if (g.side, g.entity, g.round, g.candidate) == place]
    assert "chose 'Fargo'" in fargo.prompt or "People who chose it" in fargo.prompt
    edited = edit(clean, place, prompt=fargo.prompt, completion=fargo.completion)
    found = audit(twelve, twelve_split, edited, PROFILERS["loop"]())
    assert [(f.kind, f.side, f.entity) for f in found] == [("prompt differs", "item", 6)]


def test_what_a_profile_says_is_followed_into_the_prompts_that_cite_it(twelve, twelve_split, tmp_path):
    """The planted leak: the text of an item of round 0 names bob's test film; prompts of round 1 cite another text."""
    profiles = written("loop", visible_view(twelve, twelve_split), tmp_path / "log")
    cited = [g for g in profiles.generations if g.round == 1 and "what 2 quotes 0 tell" in g.prompt]
    assert cited
    leaky = [
        replace(g, prompt=g.prompt.replace("what 2 quotes 0 tell", "bob takes Fargo next"))
        for g in profiles.generations
    ]
    found = audit(twelve, twelve_split, Profiles(profiles.user, profiles.item, leaky), PROFILERS["loop"]())
    assert {(f.side, f.entity, f.candidate) for f in found} == {(g.side, g.entity, g.candidate) for g in cited}


@pytest.mark.parametrize(("row", "kind_of_row"), [(None, None), (2, None), (8, "test"), (11, "held out")])
def test_texts_written_anew_are_read_too(row, kind_of_row, kind, twelve, twelve_split, tmp_path):
    """refit may state ann's withheld row, not bob's test row, nor dee's, which is held out for gates."""
    holdout = np.arange(12) == 11
    split = replace(twelve_split, visible=twelve_split.visible & ~holdout, holdout=holdout)
    clean = written(kind, visible_view(twelve, split), tmp_path / "log")
    rows = split.rest if row is None else split.rest | (np.arange(12) == row)
    final = written(kind, View(twelve.user[rows], twelve.item[rows], 4, twelve.items), tmp_path / "log")
    folder = tmp_path / "run"
    if kind_of_row is None:
        run_stage(folder, twelve, split, clean, PROFILERS[kind](), refit=final)
        report = json.loads((folder / "out" / "audit.json").read_text())
        assert (report["verdict"], report["refit"]["verdict"]) == ("clean", "clean")
        return
    with pytest.raises(InputError, match="LEAK"):
        run_stage(folder, twelve, split, clean, PROFILERS[kind](), refit=final)
    report = json.loads((folder / "work" / "audit.json").read_text())
    assert (report["verdict"], report["refit"]["verdict"]) == ("clean", "leak or tampering")
    assert kind_of_row in report["refit"]["findings_by_kind"]


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["Toys", "Yelp"])
def test_real_profiles_are_clean(name, tmp_path):
    """Yelp has repeat visits and 4,697 titles shared by several places: a title may be visible and held out at once."""
    data = os.environ.get("PTE_DATA")
    if not data or not (Path(data) / name).is_dir():
        pytest.skip(f"PTE_DATA has no {name}")
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(overrides=[f"+dataset={name}", f"+paths.data={data}"])
    interactions = instantiate(OmegaConf.to_container(config, resolve=True)["dataset"]).read()
    split = LeaveOneOut()(interactions)
    profiles = written("template", visible_view(interactions, split), tmp_path)
    assert audit(interactions, split, profiles, PROFILERS["template"]()) == []
