"""The profiles stage: from saved parents to saved texts, and a log that runs share."""

from pathlib import Path

import pytest
from helper.profiles import ScriptedProfiler, save_parents

from pte.profiler.template import ITEM_FORMS, USER_FORMS, TemplateProfiler
from pte.schema import InputError, Profiles, visible_view
from pte.schema.context import Context
from pte.stage import profiles as profiles_stage


@pytest.fixture
def parents(tmp_path, twelve, twelve_split):
    return save_parents(tmp_path, twelve, twelve_split)


def make_context(folder: Path, parents, profiler, key: str = "aaaa") -> Context:
    """What the pipeline hands to a stage: store/<kind>/<key> and store/work/<kind>/<key>."""
    out, work = folder / "out" / key, folder / "store" / "work" / "profiles" / key
    for path in (out, work):
        path.mkdir(parents=True, exist_ok=True)
    return Context({"profiler": {}}, parents, out, work, lambda group: profiler, [])


def test_what_is_saved_is_loaded(tmp_path, parents, twelve, twelve_split):
    profiler = ScriptedProfiler()
    context = make_context(tmp_path, parents, profiler)
    profiles_stage.run(context)
    found = Profiles.load(context.out)
    assert found == profiler.rebuild(visible_view(twelve, twelve_split), found.generations)
    assert [len(found.user), len(found.item), found.num_candidates] == [4, 7, 2]
    assert found.item[3][0] == "Heat (Crime). This is what 4 quotes 0 tell."


def test_runs_share_what_was_generated(tmp_path, parents):
    first, second = ScriptedProfiler(), ScriptedProfiler()
    profiles_stage.run(make_context(tmp_path, parents, first, key="aaaa"))
    profiles_stage.run(make_context(tmp_path, parents, second, key="bbbb"))
    assert first.engine.calls > 0
    assert second.engine.calls == 0
    assert list((tmp_path / "store" / "work" / "generation").glob("*/*.parquet"))


def test_a_person_watching_sees_samples(tmp_path, parents, caplog):
    template = TemplateProfiler(num_candidates=4, item_forms=ITEM_FORMS, user_forms=USER_FORMS, titles=5)
    profiles_stage.run(make_context(tmp_path, parents, template))
    assert "candidates repeat" in caplog.messages[0]
    assert caplog.messages[1].startswith("  item 1, of 4: 'Toy Story (Animation).")


def test_a_missing_candidate_is_noticed(tmp_path, parents):
    context = make_context(tmp_path, parents, ScriptedProfiler())
    profiles_stage.run(context)
    fewer = Profiles.of(Profiles.load(context.out).generations[:-1])
    with pytest.raises(InputError, match="different numbers of candidates"):
        fewer.save(tmp_path)
