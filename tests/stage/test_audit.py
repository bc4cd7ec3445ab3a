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
from pte.profiler.none import MetadataProfiler
from pte.profiler.store.log import RecordLog
from pte.profiler.template import ITEM_FORMS, USER_FORMS, TemplateProfiler
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Generation, InputError, Profiles, View, visible_view
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
    return Profiles(profiles.user, profiles.item, found)


@pytest.fixture(params=PROFILERS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def clean(kind, twelve, twelve_split, tmp_path) -> Profiles:
    return written(kind, visible_view(twelve, twelve_split), tmp_path / "log")


def test_clean_profiles_pass(kind, clean, twelve, twelve_split):
    assert audit(twelve, twelve_split, clean, PROFILERS[kind]()) == []


@pytest.mark.parametrize(("row", "told"), [(8, "test"), (7, "valid"), (2, "withheld")])
def test_a_view_with_a_hidden_row_is_caught_both_ways(kind, row, told, twelve, twelve_split, tmp_path):
    """The planted leak: texts written from a view that holds one row more."""
    rows = twelve_split.visible.copy()
    rows[row] = True
    view = View(twelve.user[rows], twelve.item[rows], 4, twelve.items)
    profiles = written(kind, view, tmp_path / "log")
    findings = audit(twelve, twelve_split, profiles, PROFILERS[kind]())
    assert {f.kind for f in findings} >= {told, "text differs" if kind != "loop" else "prompt differs"}
    assert {f.kind for f in read_back(twelve, twelve_split, profiles)} == {told}
    guilty = {f.entity for f in findings if f.kind == told}
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


def test_a_title_of_nobody_is_told_as_unknown(twelve, twelve_split):
    odd = Generation("user", 3, 0, 0, "recent", 0.0, "", "", "Recently chose: Heat; Alien", parsed=True)
    found = read_back(twelve, twelve_split, Profiles([], [[""]], [odd]))
    assert [(f.kind, f.entity) for f in found] == [("unknown", 3)]


def test_clean_rows_end_before_the_first_question(twelve, twelve_split):
    """Even a train row would not pass if it came after a question of its person; nor a row that does not train."""
    split = replace(twelve_split, visible=np.ones(12, bool), train=np.ones(12, bool))
    assert clean_rows(twelve, split).tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1]
    split = replace(split, train=np.arange(12) != 11)  # dee is set aside
    assert clean_rows(twelve, split).tolist() == [1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]


def run_stage(folder, twelve, split, profiles, profiler) -> None:
    parents = save_parents(folder, twelve, split) | {"profiles": folder / "profiles"}
    out, work = folder / "out", folder / "work"
    for path in (parents["profiles"], out, work):
        path.mkdir()
    profiles.save(parents["profiles"])
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
    assert report["findings_by_kind"]["text differs"] == 1
    assert report["findings"][0]["entity"] == 1


def test_other_peoples_choices_are_counted_not_blamed(twelve, twelve_split, tmp_path):
    """bob's valid film is Toy Story, which ann and cy, who are like him, show."""
    profiles = written("template", visible_view(twelve, twelve_split), tmp_path / "log")
    report = audit_stage.summary(twelve, twelve_split, profiles, [])
    assert any("Similar people also chose: Toy Story" in text for text in profiles.user[1])
    assert report["held_out_titles_named_elsewhere"] >= 1


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
