"""The policy before training, its features, and who is trained on."""

import pytest
import torch
from helper.selector import candidates

from pte.schema import InputError
from pte.selector.grpo import GRPO, Objective, Policy, all_logits, features


def test_an_untrained_policy_is_uniform():
    table = candidates(num=9)
    policy = Policy(4, 3, 8, torch.Generator().manual_seed(0))
    assert torch.equal(all_logits(policy, table), torch.zeros(9, 3))


def test_a_candidate_is_scored_by_itself():
    """Reordering an entity's candidates reorders its logits: the policy knows no positions."""
    table = candidates(num=6)
    policy = Policy(4, 3, 8, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(policy.last.weight, generator=torch.Generator().manual_seed(1))
    order = torch.tensor([2, 0, 1])
    moved = type(table)(**{**vars(table), "vector": table.vector[:, order], "form": table.form[:, order]})
    torch.testing.assert_close(all_logits(policy, moved), all_logits(policy, table)[:, order])


def test_features_tell_side_form_and_cosine():
    table = candidates()
    phi = features(table, torch.tensor([0, 4]))
    assert phi.shape == (2, 3, 3 * 4 + 6 + 3)
    numbers = phi[:, :, 12:18]
    torch.testing.assert_close(numbers[1, 2, 0], table.vector[4, 2] @ table.context[4])
    assert numbers[:, 0, 5].tolist() == [1, 0]
    assert phi[0, :, 18:].tolist() == torch.eye(3).tolist()


def test_only_known_rewards_are_trained_on_or_held_out():
    known = torch.arange(2000) % 2 == 0
    trained, held_out = GRPO(held_out=0.25).train_and_holdout(known, torch.Generator().manual_seed(0))
    assert not (trained & held_out).any()
    assert torch.equal(trained | held_out, known)
    assert held_out.sum() / known.sum() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 1000) ** 0.5)


def test_without_any_known_reward_nothing_is_trained():
    table = candidates()
    table = type(table)(**{**vars(table), "known": torch.zeros(5, dtype=torch.bool)})

    def refuse(*_):
        raise AssertionError

    choice = GRPO().select(table, fit=refuse)
    assert choice.index.tolist() == [0] * 5
    torch.testing.assert_close(choice.probability, torch.full((5, 3), 1 / 3))


@pytest.mark.parametrize("knobs", [{"group_size": 1}, {"inner_epochs": 0}, {"held_out": 1.0}, {"withheld_share": 0}])
def test_impossible_knobs_are_refused(knobs):
    with pytest.raises(InputError):
        GRPO(**knobs)


@pytest.mark.parametrize("knobs", [{"clip": [0.2]}, {"clip": [1.0, 0.2]}, {"kl": -1}, {"entropy": -0.1}])
def test_an_impossible_objective_is_refused(knobs):
    with pytest.raises(InputError, match=r"selector\.objective"):
        Objective(**knobs)
