"""What a plan tells of a language model's work, by hand."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pte.paths import CONF_DIR
from pte.profiler.base import Query, Rate
from pte.profiler.engine.cost import Tariff, local, served
from pte.profiler.engine.record import Workload
from pte.profiler.prompt import Prompt
from pte.schema import InputError, visible_view

ASK = Query(Prompt("what", "a" * 100, "b" * 90, "c" * 6), 0, 0.7)  # with blank lines 200 letters
WORK = Workload(completions=1000, prompts=400, sample=lambda: [ASK, ASK])


def test_price_and_minutes_of_a_service_by_hand():
    """1000 prompts of 50 tokens at 2 a million, 1000 answers of at most 60 at 5: .1 + .3."""
    lines = served(WORK, 60, Tariff(tokens_per_second=100, price=[2, 5]), 0)
    assert "1,000 generations" in lines[0]
    assert "about 50,000 prompt tokens" in lines[0]
    assert "at most 60,000 new ones" in lines[0]
    assert "about 0.40" in lines[1]
    assert "10.0 minutes" in lines[2]
    assert "no rate is stated" in served(WORK, 60, Tariff(), 0)[-1]


def test_the_most_a_service_can_cost_has_every_answer_requested_twice():
    lines = served(WORK, 60, Tariff(price=[2, 5]), 1)
    assert "2,000 generations, 1,000 and as many again where all were faulty" in lines[0]
    assert "at most 120,000 new ones" in lines[0]
    assert "about 0.80" in lines[1]


def test_a_local_model_is_measured_or_counted():
    line = local(WORK, Rate(prompt_tokens=50, new_tokens=40, prompt_seconds=0.3, completion_seconds=0.06))[0]
    assert "1,000 generations from 400 prompts" in line
    assert "about 3.0 minutes" in line
    assert "20,000 prompt tokens" in local(WORK, None)[0]


@pytest.mark.parametrize("wrong", [{"price": [1]}, {"price": [1, -1]}, {"tokens_per_second": 0}])
def test_a_tariff_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match=r"profiler\.tariff\."):
        Tariff(**wrong)


@pytest.mark.parametrize(("option", "more"), [("openai", {"model": "m"}), ("batch", {"model": "m", "folder": "f"})])
def test_every_served_option_tells_its_cost_without_asking(option, more, twelve, twelve_split):
    knobs = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "profiler" / f"{option}.yaml"))
    profiler = instantiate({**knobs, **more}, _convert_="all")
    lines = profiler.forecast(visible_view(twelve, twelve_split))
    assert f"at most {2 * (6 + 4 * 4 + 4 * 6):,} generations" in lines[0]


def test_weights_that_are_not_here_are_not_fetched_to_measure(twelve, twelve_split, monkeypatch):
    knobs = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "profiler" / "transformers.yaml"))
    profiler = instantiate({**knobs, "model": "nobody/nothing"}, _convert_="all")
    monkeypatch.setattr(profiler.engine, "rate", lambda queries: pytest.fail("measured"))
    assert "minutes once the model is here" in profiler.forecast(visible_view(twelve, twelve_split))[0]
