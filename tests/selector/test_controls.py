"""The selectors that learn nothing, by hand."""

import pytest
import torch
from helper.selector import candidates, refuse
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from pte.paths import CONF_DIR
from pte.schema import InputError
from pte.selector.best_of_k import BestOfK
from pte.selector.first import First
from pte.selector.mean import Mean
from pte.selector.random import Random


def test_first():
    table = candidates()
    choice = First().select(table, fit=refuse)
    assert torch.equal(choice.vector, table.vector[:, 0])
    assert choice.index.tolist() == [0] * 5
    assert choice.probability[:, 0].tolist() == [1] * 5


def test_best_of_k():
    table = candidates()
    choice = BestOfK().select(table, fit=refuse)
    for x in range(5):
        assert table.reward[x, choice.index[x]] == table.reward[x].max()
        assert torch.equal(choice.vector[x], table.vector[x, choice.index[x]])
    with pytest.raises(InputError, match="withheld_share=0"):
        BestOfK(withheld_share=0)


def test_mean_is_a_unit_vector_between_all():
    table = candidates()
    choice = Mean().select(table, fit=refuse)
    total = table.vector[1, 0] + table.vector[1, 1] + table.vector[1, 2]
    torch.testing.assert_close(choice.vector[1], total / total.norm())
    assert choice.index.tolist() == [-1] * 5
    assert Mean().select(candidates(choices=1), fit=refuse).index.tolist() == [0] * 5


def test_random_is_uniform_and_a_function_of_its_seed():
    table = candidates(num=3000)
    one, same, other = (Random(seed=seed).select(table, fit=refuse).index for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    share = torch.bincount(one, minlength=3) / 3000
    assert (share - 1 / 3).abs().max() < 4 * (2 / 9 / 3000) ** 0.5  # four standard errors


@pytest.mark.parametrize("option", ["first", "random", "mean", "best_of_k", "best_of_k_half", "grpo"])
def test_the_shipped_options_build_and_one_candidate_is_no_choice(option):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(overrides=[f"+selector={option}"]).selector
    selector = instantiate({k: v for k, v in config.items() if k != "fit"}, _convert_="all")
    assert selector.withheld_share == (0.5 if option == "best_of_k_half" else 1)
    table = candidates(choices=1)
    choice = selector.select(table, fit=refuse)
    torch.testing.assert_close(choice.vector, table.vector[:, 0])
    assert choice.index.tolist() == [0] * 5
