"""Training finds what can be learnt, carries it to unseen entities, and leaves alone what cannot."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pte.selector.base import Candidates
from pte.selector.grpo import GRPO, Objective, all_logits
from pte.train.policy import GRPOModule, Shuffled, baselines, train
from pte.train.state.checkpoint import ResumeCheckpoint

E, K, D = 600, 4, 8


def table(reward) -> Candidates:
    generator = torch.Generator().manual_seed(0)
    vector = F.normalize(torch.randn(E, K, D, generator=generator), dim=2)
    context = F.normalize(torch.randn(E, D, generator=generator), dim=1)
    return Candidates(
        vector, context, reward(vector, context), torch.ones(E, dtype=torch.bool), torch.arange(E) < 300,
        torch.full((E, K), 30.0), torch.arange(K).expand(E, K), torch.zeros(E, K), K,
    )  # fmt: skip


def run(candidates, **knobs):
    settings = GRPO(**{"epochs": 12, "batch_size": 64, "learning_rate": 3e-3, "held_out": 0.2, **knobs})
    calls = {}

    def fit(settings, policy, candidates, trained, held_out):
        module = GRPOModule(
            policy=policy, candidates=candidates, settings=settings, trained=trained, held_out=held_out,
            parts={"total": candidates.reward},
        )  # fmt: skip
        train(module)
        calls.update(module=module, trained=trained, held_out=held_out)

    return settings.select(candidates, fit=fit), calls


def test_a_learnable_reward_is_learnt_and_carries_over():
    """The reward is the cosine with the context: unseen entities profit as seen ones do."""
    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    choice, calls = run(candidates)
    last = calls["module"].curve[-1]
    for who in ("trained", "unseen"):
        gain = (last[f"{who}_argmax"] - last[f"{who}_random"]) / (last[f"{who}_best_of_k"] - last[f"{who}_random"])
        assert gain > 0.8
    first = calls["module"].curve[0]
    assert last["entropy"] < first["entropy"]
    assert first["frac_zero_std"] < 0.2 < last["frac_zero_std"]  # a policy that is sure draws the same eight times
    assert choice.index.shape == (E,)
    torch.testing.assert_close(choice.probability.sum(1), torch.ones(E))


def test_held_out_entities_do_not_touch_the_policy():
    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    choice, calls = run(candidates, epochs=2)
    reward = candidates.reward.clone()
    reward[calls["held_out"]] = torch.randn(int(calls["held_out"].sum()), K, generator=torch.Generator().manual_seed(5))
    again, _ = run(replace(candidates, reward=reward), epochs=2)
    assert torch.equal(choice.probability, again.probability)


def test_equal_rewards_teach_nothing():
    candidates = table(lambda e, h: torch.full((E, K), 0.1))
    choice, calls = run(candidates, epochs=2)
    torch.testing.assert_close(choice.probability, torch.full((E, K), 1 / K))
    assert "objective" not in calls["module"].curve[-1]
    assert calls["module"].curve[-1]["frac_zero_std"] == 1


@pytest.mark.parametrize("pull", [{"kl": 1000.0}, {"entropy": 1000.0}])
def test_a_heavy_pull_keeps_the_policy_at_its_uniform_reference(pull):
    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    choice, calls = run(candidates, epochs=3, objective=Objective(**pull))
    assert (choice.probability - 1 / K).abs().max() < 0.05
    assert calls["module"].curve[-1]["kl"] < 1e-3


def test_the_first_of_two_inner_steps_is_unclipped_and_reads_zero():
    """Advantages have mean zero in their group, so the objective at ratio one is zero, whatever the policy."""
    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    _, calls = run(candidates, epochs=1, inner_epochs=1)
    row = calls["module"].curve[0]
    assert row["objective"] == pytest.approx(0, abs=1e-6)
    assert row["clip_fraction"] == 0
    _, calls = run(candidates, epochs=1, inner_epochs=4, learning_rate=0.1)
    assert calls["module"].curve[0]["clip_fraction"] > 0.01


def test_the_same_seed_gives_the_same_choice():
    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    one, other = run(candidates, epochs=2)[0], run(candidates, epochs=2)[0]
    assert torch.equal(one.probability, other.probability)
    assert not torch.equal(one.probability, run(candidates, epochs=2, seed=1)[0].probability)


def test_rows_reach_the_trackers():
    seen = []

    class Tracker:
        def log_metrics(self, metrics, step):
            seen.append((step, metrics))

    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    settings = GRPO(epochs=2, batch_size=64)
    every = torch.ones(E, dtype=torch.bool)

    def fit(settings, policy, candidates, trained, held_out):
        module = GRPOModule(
            policy=policy, candidates=candidates, settings=settings, trained=every, held_out=~every,
            parts={"distinct": candidates.reward}, trackers=[Tracker()],
        )  # fmt: skip
        train(module)
        assert all_logits(module.policy, candidates).abs().max() > 0

    settings.select(candidates, fit=fit)
    assert [step for step, _ in seen] == [20, 40]  # ten batches of two inner steps
    assert "selection/reward_distinct" in seen[0][1]
    assert "selection/unseen_policy" not in seen[0][1]  # nobody was held out


def test_every_entity_once_an_epoch_in_a_new_order():
    batches = Shuffled(torch.arange(10), 4, 0)
    first = torch.cat(list(batches)).tolist()
    batches.set_epoch(1)
    second = torch.cat(list(batches)).tolist()
    assert len(batches) == len(list(batches)) == 3
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


class Dying(ResumeCheckpoint):
    """Ends, as a kill would, before step `at`; what is kept is what was kept before. Counts the steps it sees."""

    def __init__(self, file, at=None):
        super().__init__(file)
        self.at, self.steps = at, 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if trainer.fit_loop.epoch_loop.total_batch_idx == self.at:
            raise RuntimeError("killed")
        self.steps += 1


@pytest.mark.parametrize("at", [1, 9, 10, 13, 29])  # ten steps an epoch
def test_a_killed_training_goes_on_at_the_step_where_it_was(tmp_path, monkeypatch, at):
    monkeypatch.setattr("pte.train.state.checkpoint.SHARE", 1e9)  # the state is kept after every step
    candidates = table(lambda e, h: (e * h[:, None]).sum(2))
    every = torch.ones(E, dtype=torch.bool)
    ends = []

    def fit(resume):
        def inner(settings, policy, candidates, trained, held_out):
            module = GRPOModule(
                policy=policy, candidates=candidates, settings=settings, trained=every, held_out=~every,
                parts={"total": candidates.reward},
            )  # fmt: skip
            train(module, resume=resume)
            ends.append((policy.state_dict(), module.curve))

        GRPO(epochs=3, batch_size=64).select(candidates, fit=inner)
        return resume.steps

    assert fit(Dying(tmp_path / "whole.ckpt")) == 30
    with pytest.raises(RuntimeError, match="killed"):
        fit(Dying(tmp_path / "policy.ckpt", at))
    assert fit(Dying(tmp_path / "policy.ckpt")) == 30 - at
    (whole, curve), (resumed, resumed_curve) = ends
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert curve == resumed_curve


def test_rivals_by_hand():
    got = baselines(torch.tensor([[0.75, 0.25]]), torch.tensor([[1.0, 3.0]]))
    assert got == {"policy": 1.5, "argmax": 1, "first": 1, "random": 2, "best_of_k": 3}
