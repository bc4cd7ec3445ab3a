"""Standardising within the group, by hand."""

import math

import pytest
import torch
from helper.reward import N, U, world
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from pte.paths import CONF_DIR
from pte.reward.base import PartScore
from pte.reward.mixture import Mixture, standardised
from pte.schema import InputError


class Fixed:
    def __init__(self, value, known=True):
        self.value, self.known = torch.tensor(value), known

    def score(self, data, space, generator):
        return PartScore(self.value.expand(U + N, -1), torch.tensor([self.known]).expand(U + N))


def test_by_hand():
    parts = {
        "a": Fixed([[0.0, 10.0, 20.0]], known=False),
        "b": Fixed([[0.0, 0.0, -1.0]]),
        "c": Fixed([[5.0, 0.0, 0.0]]),
    }
    got = Mixture(parts=parts, weights={"a": 1.0, "b": 0.5, "c": 0.0}, raw=["b"], eps=0.0).score(world())
    z = math.sqrt(1.5)  # (20 - 10) / sqrt(200 / 3)
    assert got.total.value[0].tolist() == pytest.approx([-z, 0, z - 0.5])
    assert not got.total.known.any()  # part a counts and is unknown
    assert set(got.part) == {"a", "b", "c"}  # c is scored although it does not count


@pytest.mark.parametrize("value", [[[0.0]], [[0.0] * 4], [0.0] * (U + N)])
def test_scores_of_another_shape_are_refused_by_the_name_of_their_class(value):
    own = Mixture(parts={"own": Fixed(value)}, weights={"own": 1.0})
    with pytest.raises(InputError, match=r"^Fixed\.score gave value \(.*: let them be \(70, 3\), .* and \(70,\)$"):
        own.score(world())


def test_equal_scores_have_no_preference():
    assert torch.equal(standardised(torch.full((1, 3), 0.1), 1e-6), torch.zeros(1, 3))


def test_spread_below_eps_is_damped():
    assert standardised(torch.tensor([[0.0, 1e-4]]), 0.01).abs().max() < 0.01
    assert standardised(torch.tensor([[0.0, 2.0]]), 0.01).abs().max() == pytest.approx(1, abs=0.02)


def test_names_must_agree_and_something_must_count():
    parts = {"a": Fixed([[0.0]])}
    with pytest.raises(InputError, match="must name the same"):
        Mixture(parts=parts, weights={"b": 1.0})
    with pytest.raises(InputError, match="weights: all are 0"):
        Mixture(parts=parts, weights={"a": 0.0})
    with pytest.raises(InputError, match="width=1"):
        Mixture(parts=parts, weights={"a": 1.0}, width=1)


@pytest.mark.parametrize(
    ("option", "weights"), [("pte", [1, 0.5, 0.2]), ("collaborative", [1, 0, 0]), ("distinct", [0, 1, 0])]
)
def test_the_shipped_options_build(option, weights):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(overrides=[f"+reward={option}"]).reward
    reward = instantiate(config, _convert_="all")
    assert list(reward.weights.values()) == weights
