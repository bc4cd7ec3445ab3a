"""The recipes of the tables: every row composes, every method that exists has its place, sweeps need no -m."""

import pytest
from hydra import compose, initialize_config_dir

from pte.paths import CONF_DIR

EXPERIMENTS = CONF_DIR / "experiment"
RECIPES = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))
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
    "fused_reader": ["reader"],
    "fused_profile": ["reader", "likeness", "memory", "profile"],
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_what_its_name_says(row):
    cfg = composed(f"experiment=row/{row}")
    choices = cfg.hydra.runtime.choices
    if row in EXPERTS:
        assert cfg.backbone.experts == EXPERTS[row]
    else:
        assert row in (choices.backbone, f"{choices.backbone}_{choices.representation}")


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
