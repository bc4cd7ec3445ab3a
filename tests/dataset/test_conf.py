"""Every option of the groups dataset and protocol builds what it names, with the keys its constructor takes."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pte.dataset.rules import Rules
from pte.paths import CONF_DIR
from pte.schema import InputError


def options(group):
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def built(group, option, *overrides):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(overrides=[f"+{group}={option}", "+paths.data=/data", *overrides])
    return instantiate(OmegaConf.to_container(config, resolve=True)[group])


@pytest.mark.parametrize("option", [o for o in options("dataset") if o != "custom"])
def test_every_dataset_builds(option):
    dataset = built("dataset", option)
    assert dataset.licence
    assert isinstance(dataset.rules, Rules)


def test_a_custom_dataset_takes_paths_and_inherits_the_item_column():
    dataset = built("dataset", "custom", "dataset.interactions=i.csv", "dataset.items=t.csv", "dataset.item_id=sku")
    assert dataset.columns.item_key == "sku"
    with pytest.raises(Exception, match=r"dataset\.interactions=PATH") as caught:
        built("dataset", "custom")
    assert isinstance(caught.value.__cause__, InputError)


def test_the_demonstration_is_a_cut_of_the_whole():
    mini, whole = built("dataset", "MovieLensMini"), built("dataset", "MovieLens")
    assert (mini.rules.max_users, mini.rules.max_items) == (60, 120)
    assert (whole.rules.max_users, whole.rules.max_items) == (None, None)
    assert mini.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("option", options("protocol"))
def test_every_protocol_builds(option):
    assert callable(built("protocol", option))


def test_a_rule_is_overridden_by_name():
    assert built("dataset", "Toys", "dataset.rules.max_users=50").rules.max_users == 50
