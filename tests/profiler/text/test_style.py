"""Styles: what is asked, read from files that can be copied and edited, and refused where they do not hold."""

import shutil

import pytest

from pte.profiler.text.style import BRIEF, JSON_LEAD, STYLES, TEMPLATES, load_style
from pte.schema import InputError


@pytest.mark.parametrize("style", STYLES)
def test_every_style_has_the_forms_that_options_name(style):
    found = load_style(style)
    assert {"what", "who", "when", "special", "alone"} <= set(found.item.form)
    assert {"taste", "likes", "apart", "wish", "alone"} <= set(found.user.form)


def test_rich_requests_need_people_companions_contrast_and_for_json():
    rich = load_style("rich")
    for word in ("need", "occasion", "who chooses", "goes with", "sets it apart", "contrast"):
        assert word in rich.item.instruction
    for word in ("interests last", "look for now", "limits", "distinguishes this person"):
        assert word in rich.user.instruction
    assert all(form.lead == JSON_LEAD for side in (rich.item, rich.user) for form in side.form.values())
    assert rich.tokens > BRIEF.tokens


def test_a_copy_says_the_same_and_an_edit_something_else(tmp_path):
    shutil.copytree(TEMPLATES / "brief", tmp_path / "mine")
    assert load_style("brief", str(tmp_path / "mine")).identity() == BRIEF.identity()
    file = tmp_path / "mine" / "item.toml"
    file.write_text(file.read_text().replace("in one short sentence", "in two sentences"))
    mine = load_style("brief", str(tmp_path / "mine"))
    assert mine.identity() != BRIEF.identity()
    assert "two sentences" in mine.item.instruction
    (tmp_path / "mine" / "user.toml").unlink()
    assert load_style("rich", str(tmp_path / "mine")).user == load_style("rich").user


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[answer]", "[answers]", "there is no key answers"),
        ("sentences = 3", 'sentences = "3"', "answer.sentences must be of kind int"),
        ('title = "Title:"\n', "", "label.title is missing"),
        ('lead = "This is"', 'lead = ""', "form.what needs a lead"),
        ('lead = "This is"', 'lead = "This is "', "without blanks around it"),
        ("words = [2, 90]", "words = [2]", "two whole numbers"),
        ("others = false", 'others = "no"', "form.alone.others must be of kind bool"),
        ("[form.who]", "[form.who", "cannot be read as TOML"),
    ],
)
def test_a_broken_file_is_refused_by_file_and_key(tmp_path, old, new, words):
    shutil.copytree(TEMPLATES / "brief", tmp_path / "mine")
    file = tmp_path / "mine" / "item.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=words) as refusal:
        load_style("brief", str(tmp_path / "mine"))
    assert "item.toml" in str(refusal.value)


def test_an_unknown_style_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"profiler\.style=poor: take one of brief, rich"):
        load_style("poor")
    with pytest.raises(InputError, match=r"no item\.toml or user\.toml"):
        load_style("brief", str(tmp_path))
