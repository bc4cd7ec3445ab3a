"""The learning rate's course: by hand, at its ends, and in the optimizer of a fit."""

import math
from functools import partial

import pytest
import torch
from helper.recommender import Counting
from lightning.pytorch import Trainer

from pte.schema import InputError
from pte.train.learning_rate import check, factor
from pte.train.loader import EvaluationLoader, TrainingLoader
from pte.train.recommender import Recommender


def course(steps, **knobs):
    return [factor(step, steps=steps, **knobs) for step in range(steps)]


def test_by_hand():
    """Ten steps, two of them rising: 1/3, 2/3, then half a cosine over eight."""
    fall = [(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)]
    assert course(10, warmup=0.2, decay="cosine") == pytest.approx([1 / 3, 2 / 3, *fall])
    assert course(4, warmup=0.5, decay="none") == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert course(3, warmup=0, decay="none") == [1, 1, 1]


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_no_step_of_a_fit_is_lost(steps):
    rates = course(steps, warmup=0.1, decay="cosine")
    assert min(rates) > 0
    assert max(rates) <= 1
    assert factor(steps, steps=steps, warmup=0.1, decay="cosine") == 0  # set after the last step, never used


@pytest.mark.parametrize(("knobs", "words"), [((1.0, "none"), "trainer.warmup=1.0"), ((0, "linear"), "none, cosine")])
def test_what_is_no_schedule_is_named(knobs, words):
    with pytest.raises(InputError, match=words):
        check(*knobs)


def test_a_fit_follows_it(twelve, twelve_split, tmp_path):
    """Two users' histories one a step, two epochs: four steps, whose rates are 1 and its fall."""
    used = []

    class Noting(torch.optim.SGD):
        def step(self, closure=None):
            used.append(self.param_groups[0]["lr"])
            return super().step(closure)

    training = TrainingLoader(twelve, twelve_split, row_length=4, batch_size=1, seed=0)
    steps = 2 * len(training)
    module = Recommender(
        backbone=Counting(6), optimizer=partial(Noting, lr=2.0), seed=0, warmup=0, decay="cosine",
        steps_per_epoch=len(training),
    )  # fmt: skip
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, default_root_dir=tmp_path, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, training, EvaluationLoader(twelve, twelve_split.valid, row_length=4))
    assert used == pytest.approx([2 * (1 + math.cos(math.pi * k / steps)) / 2 for k in range(steps)])
