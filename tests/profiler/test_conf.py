"""Every option of the group builds what it names; the default language model loads and answers."""

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pte.profiler.auto import Auto
from pte.profiler.store.log import RecordLog
from pte.schema import InputError, visible_view

CONF = Path(__file__).resolve().parents[2] / "conf" / "profiler"
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml"))


def values(option: str) -> dict:
    found = OmegaConf.to_container(OmegaConf.load(CONF / f"{option}.yaml"), resolve=True)
    return found | {
        "openai": {"model": "served"},
        "batch": {"model": "m", "folder": "f"},
        "ray": {"model": "served", "folder": "f", "base_url": "http://localhost:8000/v1"},
        "imported": {"file": __file__},
    }.get(option, {})


@pytest.mark.parametrize("option", [o for o in OPTIONS if o != "auto"])
def test_an_option_builds_a_profiler_without_touching_a_model(option):
    if option == "ray":
        pytest.importorskip("ray", reason="ray is not installed: pip install 'pte[ray]'")
    profiler = instantiate(values(option), _convert_="all")
    assert profiler.num_candidates == (1 if option in ("none", "imported") else 4)


def test_auto_knows_what_its_rule_needs():
    auto, transformers = values("auto"), values("transformers")
    assert {"_target_", "limit", "num_candidates", "rounds"} == set(auto)
    assert (auto["num_candidates"], auto["rounds"]) == (transformers["num_candidates"], transformers["rounds"])
    rule = instantiate(auto)
    assert isinstance(rule, Auto)
    assert rule.choose(120, 240, accelerator=False).option == "transformers"
    assert rule.choose(19_412, 11_924, accelerator=False).option == "template"
    assert rule.choose(19_412, 11_924, accelerator=True).option == "transformers"


@pytest.mark.parametrize("knobs", [{"limit": -1}, {"rounds": 0}, {"num_candidates": 0}])
def test_auto_is_built_and_checked_as_any_other_option(knobs):
    with pytest.raises(InputError, match=next(iter(knobs))):
        Auto(**{"limit": 1, "num_candidates": 1, "rounds": 1, **knobs})


def test_options_are_short():
    assert all(len((CONF / f"{option}.yaml").read_text().splitlines()) <= 25 for option in OPTIONS)


@pytest.mark.assets
def test_the_default_model_writes_a_small_catalogue(twelve, twelve_split, tmp_path):
    """SmolLM2-135M-Instruct out of its wheel: unpacked once, K = 2, fluent enough that most answers are usable."""
    profiler = instantiate(values("transformers") | {"num_candidates": 2}, _convert_="all")
    found = profiler.profile(visible_view(twelve, twelve_split), log=RecordLog(tmp_path))
    assert sum(g.parsed for g in found.generations) >= 0.8 * len(found.generations)
    assert found.item[1][0].startswith("Toy Story (Animation). This is")
    assert profiler.engine.causal.context == 8192
