"""The recipes of the tables: every row composes, every method that exists has its place, sweeps need no -m."""

import re

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.paths import CONF_DIR

EXPERIMENTS = CONF_DIR / "experiment"
SEARCHES = sorted(path.stem for path in EXPERIMENTS.glob("search_*.yaml"))
RECIPES = sorted({path.stem for path in EXPERIMENTS.glob("*.yaml")} - set(SEARCHES))
ROWS = sorted(path.stem for path in (EXPERIMENTS / "row").glob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def configuration():
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        yield


def composed(*overrides):
    return compose("config", overrides=list(overrides), return_hydra_config=True)


def swept(recipe):
    return [row.strip() for row in composed(f"experiment={recipe}").hydra.sweeper.params["experiment/row"].split(",")]


EXPERTS = {  # rows of the method with some of its parts, or more
    "fused_strict": ["reader", "likeness"],
    "fused_strict_hybrid": ["reader", "likeness"],
    "fused_reader": ["reader"],
    "fused_profile": ["reader", "likeness", "memory", "profile"],
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_what_its_name_says(row):
    cfg = composed(f"experiment=row/{row}")
    choices = cfg.hydra.runtime.choices
    encoder = next((name for name in ("tfidf", "hybrid") if row.endswith(f"_{name}")), "minilm")
    assert choices.encoder == encoder
    if row in EXPERTS:
        assert cfg.backbone.experts == EXPERTS[row]
    else:
        assert row.removesuffix(f"_{encoder}") in (choices.backbone, f"{choices.backbone}_{choices.representation}")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_sweeps_rows_that_exist(recipe):
    cfg = composed(f"experiment={recipe}")
    rows = swept(recipe)
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(ROWS)
    assert cfg.hydra.sweeper.params.seed == "0,1,2"


def test_recipes_do_not_share_a_folder():
    folders = [composed(f"experiment={recipe}").hydra.sweep.dir for recipe in RECIPES]
    assert len(set(folders)) == len(folders)
    other = composed("experiment=table_leave_one_out", "dataset=Yelp", "profiler=none").hydra.sweep.dir
    assert other.endswith("table/leave_one_out/Yelp/none")


def test_tables_leave_no_method_out():
    rows = swept("table_leave_one_out")
    options = {
        group: {path.stem for path in (CONF_DIR / group).glob("*.yaml")} for group in ("backbone", "representation")
    }
    assert {f"sasrec_{name}" for name in options["representation"]} <= set(rows)
    assert options["backbone"] - {"sasrec", "dreamrec"} <= set(rows)
    assert {f"dreamrec_{name}" for name in ("id", "llm_only", "llm_init", "alphafuse")} <= set(rows)


def test_what_a_recipe_adds():
    cold = composed("experiment=table_cold_start")
    assert cold.hydra.runtime.choices.protocol == "cold_start"
    assert cold.protocol.scoring == "last"
    assert composed("experiment=table_long_tail").hydra.runtime.choices.dataset == "Yelp"
    assert composed("experiment=control_permuted").hydra.sweeper.params.selector == "mean,permuted"


def ends(space):
    """Two values of "choice(a, b)" or "tag(log, interval(low, high))"."""
    words = [word.strip() for word in re.sub(r".*\((.*?)\)+$", r"\1", space).split(",")]
    return words[0], words[-1]


def searched(file):
    """Options and ranges of a search with those of its bases, without its sweeper: that is an extra."""
    search = yaml.safe_load(file.read_text())
    if file.parent.name == "range":
        return {}, search
    options, ranges = {}, search.get("hydra", {}).get("sweeper", {}).get("params", {})
    for entry in search["defaults"]:
        if isinstance(entry, str):
            inner = searched(file.parent / f"{entry}.yaml")
            options, ranges = inner[0] | options, inner[1] | ranges
        else:
            options |= {k.removeprefix("override /"): v for k, v in entry.items()}
    return options, ranges


def test_every_representation_and_the_default_method_have_a_search():
    names = {path.stem for path in (CONF_DIR / "representation").glob("*.yaml")}
    assert set(SEARCHES) == {f"search_{name}" for name in (*names, "fused")}


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_names_knobs_that_exist(search):
    """Both ends of every range compose, and change what the knob is."""
    options, params = searched(EXPERIMENTS / f"{search}.yaml")
    overrides = [f"{group}={option}" for group, option in options.items() if group != "hydra/sweeper"]
    assert {"optimizer.lr"} < set(params)
    assert f"search_{options['representation']}" == search or options["backbone"] == "fused"
    for place in (0, 1):
        cfg = composed(*overrides, *(f"{knob}={ends(space)[place]}" for knob, space in params.items()))
        for knob, space in params.items():
            assert OmegaConf.select(cfg, knob) == yaml.safe_load(ends(space)[place])


def test_a_search_composes_with_its_sweeper():
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    sweeper = composed("experiment=search_id", "dataset=MovieLensMini").hydra.sweeper
    assert (sweeper.study_name, sweeper.direction) == ("search_id_MovieLensMini", "maximize")
    assert sweeper.storage == "sqlite:///outputs/search/study.db"
    assert sweeper.max_failure_rate == 1
