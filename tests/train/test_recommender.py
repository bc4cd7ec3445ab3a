"""The module trains what the backbone says, ranks every case once, and leaves global settings as it found them."""

import functools

import pytest
import torch
from helper.recommender import Counting
from lightning.pytorch import Trainer
from torch import nn

from pte.train.early_stopping import EarlyStopping
from pte.train.loader import EvaluationLoader, TrainingLoader
from pte.train.recommender import Recommender


def fit(twelve, twelve_split, tmp_path, epochs=3, patience=99, products="float32", seed=0):
    backbone, best = Counting(6), []
    module = Recommender(
        backbone=backbone, optimizer=functools.partial(torch.optim.SGD, lr=1.0), seed=seed, products=products
    )
    watch = EarlyStopping(
        monitor="masked/all/NDCG@10", patience=patience, save_best=best.append,
    )  # fmt: skip
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[watch], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path, use_distributed_sampler=False,
    )  # fmt: skip
    training = TrainingLoader(twelve, twelve_split, row_length=4, batch_size=10, seed=0)
    trainer.fit(module, training, EvaluationLoader(twelve, twelve_split.valid, row_length=4))
    return backbone, watch, best, module


def lines(caplog) -> list[str]:
    """What early stopping logs; Lightning speaks as well."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("pte.")]


def test_one_epoch_by_hand(twelve, twelve_split, tmp_path, caplog):
    """Targets 2 3 3 2: the step of size 1 lands on their shares. Valid: ann 1 2 3 -> 4, bob 2 3 -> 1."""
    backbone, watch, best, _ = fit(twelve, twelve_split, tmp_path, epochs=1)
    assert backbone.scores.tolist() == [0, 0.5, 0.5, 0, 0, 0]
    assert backbone.totals == [4]
    (row,) = watch.rows
    assert row["epoch"] == 0
    assert row["train/loss"] == 0  # of the zero vector, before the step
    # masked: ann's 4 ties with 5 and 6 -> rank 2; bob's 1 ties with 4, 5, 6 -> rank 3
    expected = (1 / torch.log2(torch.tensor(4.0)) + 1 / torch.log2(torch.tensor(5.0))) / 2
    assert row["valid/masked/all/NDCG@10"] == pytest.approx(expected.item())
    # unmasked: 4 behind 2 and 3, tied with 1, 5, 6 -> rank 5 for both
    assert row["valid/unmasked/all/Hit@5"] == 0
    assert row["valid/unmasked/all/Hit@10"] == 1
    assert "0.4653 (best so far)" in lines(caplog)[0]
    assert best[0]["backbone.scores"].tolist() == [0, 0.5, 0.5, 0, 0, 0]


def test_it_stops_when_nothing_improves(twelve, twelve_split, tmp_path, caplog):
    _, watch, best, _ = fit(twelve, twelve_split, tmp_path, epochs=50, patience=3)
    assert len(watch.rows) == len(lines(caplog)) == 4  # the first is the best, three more bring nothing
    assert (watch.best_epoch, len(best)) == (0, 1)
    assert "at most 0:00 left" in lines(caplog)[-1]


def test_draws_are_a_function_of_seed_and_epoch(twelve, twelve_split, tmp_path):
    one, two, other = (fit(twelve, twelve_split, tmp_path, seed=s)[0] for s in (0, 0, 1))
    assert one.draws == two.draws
    assert len(set(one.draws)) == 3
    assert not set(one.draws) & set(other.draws)
    assert one.first_draw == two.first_draw != other.first_draw


def test_products_are_rounded_in_training_alone(twelve, twelve_split, tmp_path):
    seen = []

    class Probe(Counting):
        def loss(self, batch):
            seen.append(torch.get_float32_matmul_precision())
            return super().loss(batch)

        def score(self, history, *, noise):
            seen.append(torch.get_float32_matmul_precision())
            return super().score(history, noise=noise)

    backbone = Probe(6)
    module = Recommender(
        backbone=backbone, optimizer=functools.partial(torch.optim.SGD, lr=1.0), seed=0, products="bfloat16"
    )
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    training = TrainingLoader(twelve, twelve_split, row_length=4, batch_size=10, seed=0)
    before = torch.get_float32_matmul_precision()
    try:
        trainer.fit(module, training, EvaluationLoader(twelve, twelve_split.valid, row_length=4))
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == ["medium", "highest"] * 2


def test_frozen_parameters_are_left_to_themselves():
    backbone = Counting(3)
    backbone.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    module = Recommender(backbone=backbone, optimizer=functools.partial(torch.optim.SGD, lr=1.0), seed=0)
    (group,) = module.configure_optimizers().param_groups
    assert [p.shape for p in group["params"]] == [backbone.scores.shape]
