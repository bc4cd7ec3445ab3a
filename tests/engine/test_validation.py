"""A word for a number and a number that cannot be are named before anything is made."""

import functools
from contextlib import nullcontext

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.engine.dry_run import _attention
from pte.engine.validation import check
from pte.paths import CONF_DIR
from pte.schema import InputError
from pte.train import check as knobs_check
from pte.train.check import trainer as check_trainer
from pte.train.recommender import Recommender

USUAL = {
    "seed": 0,
    "trainer": {
        "max_epochs": 20,
        "check_val_every_n_epoch": 1,
        "devices": 1,
        "strategy": "auto",
        "compile": False,
        "gradient_clip": None,
        "precision": "32-true",
        "monitor": "masked/all/NDCG@10",
    },
    "optimizer": {"lr": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0, "fused": True},
    "reward": {"parts": {"distinct": {"temperature": 0.1}}},
    "representation": {"cross_attention": True},
}


def changed(name, value):
    group, _, rest = name.partition(".")
    if not rest:
        return {**USUAL, group: value}
    first, *deeper = rest.split(".")
    for key in reversed(deeper):
        value = {key: value}
    return {**USUAL, group: {**USUAL[group], first: value}}


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 3), ("trainer.devices", "auto"), ("trainer.compile", True), ("trainer.gradient_clip", 1.0),
     ("trainer.precision", "bf16-mixed"), ("optimizer.weight_decay", 0.1), ("optimizer.lr", 1),
     ("optimizer.betas", [0.9, 0.98]),
     ("representation.cross_attention", "residual"), ("optimizer.new", "word"),
     ("reward.parts.distinct.temperature", 1)],
)  # fmt: skip
def test_what_can_be_passes(name, value):
    check(changed(name, value), USUAL)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("seed", "x", "seed=x: give a whole number"), ("seed", -1, "seed=-1: give a whole number, 0 to 4294967295"),
     ("seed", True, "seed=true"),
     ("optimizer.betas", [0.9], "give 2 numbers"),
     ("trainer.compile", "maybe", "compile=maybe: give true or false"), ("trainer.compile", 1, "true or false"),
     ("optimizer.lr", "fast", "optimizer.lr=fast: give a number, as 0.001"),
     ("optimizer.lr", None, "optimizer.lr=null: give a number"),
     ("reward.parts.distinct.temperature", "hot", "reward.parts.distinct.temperature=hot")],
)  # fmt: skip
def test_what_cannot_be_is_named(name, value, words):
    with pytest.raises(InputError, match=words):
        check(changed(name, value), USUAL)


OPTIONS = [
    f"{folder.name}={file.stem}"
    for folder in sorted(CONF_DIR.iterdir())
    if folder.is_dir() and folder.name != "experiment"
    for file in sorted(folder.glob("*.yaml"))
]


@pytest.mark.parametrize("option", OPTIONS)
def test_no_shipped_option_is_refused(option):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [option]), resolve=True)
    check(config, config)


TRAINER = {
    "max_epochs": 20, "patience": 5, "check_val_every_n_epoch": 1, "batch_size": 8, "batch_targets": 64,
    "epoch_steps": 1, "warmup": 0.1, "decay": "cosine",
    "gradient_clip": None, "monitor": "masked/all/NDCG@10", "products": "bfloat16", "precision": "32-true",
    "strategy": "auto", "scores_mib": 64, "accelerator": "auto", "devices": 1, "oversubscribe": False, "compile": False,
}  # fmt: skip
FUSED = {"fused": True}


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"max_epochs": 2.5}, "max_epochs=2.5: give a whole number, 1 to 100000"),
        ({"max_epochs": 0}, "1 to 100000"),
        ({"max_epochs": 2 * 10**9}, "1 to 100000"),
        ({"epoch_steps": 10**9}, "trainer.epoch_steps=1000000000: give a whole number, 1 to 100000"),
        ({"batch_targets": 0}, "trainer.batch_targets=0: give a whole number, 1 or more"),
        ({"max_epochs": None}, "max_epochs=null"),
        ({"patience": 0}, "patience=0: give a whole number, 1 or more"),
        ({"batch_size": True}, "batch_size=true"),
        ({"scores_mib": 0}, "scores_mib=0: give a number from 1"),
        ({"gradient_clip": -1}, "gradient_clip=-1"),
        ({"warmup": 2}, "warmup=2"),
        ({"decay": "linear"}, "decay=linear"),
        ({"precision": "bf16-true"}, "precision=bf16-true: take one of 32-true, bf16-mixed"),
        ({"products": "float16"}, "products=float16: take one of float32, bfloat16"),
        ({"max_epochs": 2, "check_val_every_n_epoch": 3}, "check_val_every_n_epoch=3"),
        ({"max_epochs": 7, "check_val_every_n_epoch": 3}, "last epochs could never be chosen"),
        ({"monitor": "NDCG@10"}, "trainer.monitor=NDCG@10 is not measured; write RANKING/all/NAME@K"),
        ({"strategy": "fsdp", "precision": "bf16-mixed"}, "take trainer.precision=32-true"),
        ({"gradient_clip": 1.0, "precision": "bf16-mixed"}, "needs optimizer.fused=false"),
        ({"strategy": "fsdp", "gradient_clip": 1.0}, "does not go with fsdp"),
    ],
)
def test_what_a_trainer_cannot_be_is_named(trainer, words):
    with pytest.raises(InputError, match=words):
        check_trainer({**TRAINER, **trainer}, FUSED)


def test_deepspeed_is_refused_where_it_is_not_installed(monkeypatch):
    given = {**TRAINER, "strategy": "deepspeed_stage_2"}
    monkeypatch.setattr(knobs_check, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"deepspeed is not installed\. Type: pip install deepspeed"):
        check_trainer(given, FUSED)
    monkeypatch.setattr(knobs_check, "find_spec", lambda name: name)
    check_trainer(given, FUSED)
    with pytest.raises(InputError, match=r"take trainer\.precision=32-true"):
        check_trainer({**given, "precision": "bf16-mixed"}, FUSED)
    with pytest.raises(InputError, match=r"trainer\.strategy=deepspeed_stage_2 needs GPUs, and there are none"):
        knobs_check.device({**given, "accelerator": "cpu", "devices": 2}, 2)


def test_clipping_goes_with_mixed_precision_where_the_optimizer_is_not_fused():
    check_trainer({**TRAINER, "gradient_clip": 1.0, "precision": "bf16-mixed"}, {"fused": False})


def test_what_torch_refuses_is_reported_in_its_words():
    adam = functools.partial(torch.optim.AdamW, weight_decay=-1.0)
    recommender = Recommender(backbone=torch.nn.Linear(1, 1), optimizer=adam, seed=0)
    with pytest.raises(InputError, match=r"optimizer\.weight_decay=-1\.0: Invalid weight_decay"):
        recommender.configure_optimizers()


def test_what_lightning_refuses_is_reported_in_its_words(tmp_path):
    knobs = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "bf17", "max_epochs": 1,
             "check_val_every_n_epoch": 1, "gradient_clip": None}  # fmt: skip
    from pte.train.trainer import make_trainer

    with pytest.raises(InputError, match="trainer: Precision 'bf17' is invalid"):
        make_trainer(knobs, [], tmp_path)


@pytest.mark.parametrize("value", ["true", "false", "residual"])
def test_every_way_of_cross_attention_can_be_typed(value):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        given, usual = (
            OmegaConf.to_container(compose("config", ["representation=llm_esr", *more]), resolve=True)
            for more in ([f"representation.cross_attention={value}"], [])
        )
    check(given, usual)


@pytest.mark.parametrize(
    ("knobs", "floats"),
    [({"length": 50, "layers": 2, "heads": 2}, 3 * 4 * 50**2), ({"length": 50, "ridge": 1}, 0),
     ({"length": 50, "encoder": {"layers": 1, "heads": 4}}, 3 * 4 * 50**2),
     ({"length": 99, "reader": {"length": 40, "layers": 2, "heads": 2}, "memory": {"length": 50}}, 3 * 4 * 40**2)],
)  # fmt: skip
def test_attention_weights_are_those_of_the_part_that_attends(knobs, floats):
    """4 bytes each of weights, dropout and gradients, layers times heads, of the shorter of row and history."""
    assert _attention(knobs, 60) == 4 * floats
    assert _attention(knobs, 10) == (4 * 3 * 4 * 10**2 if floats else 0)


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [({"train_rows": 4}, "no user has two"), ({"holdout_rows": 0}, "protocol.holdout="), ({"holdout_rows": 5}, "two"),
     ({"valid_cases": 1}, "trainer.devices=auto: 1 validation cases"), ({}, None)],
)  # fmt: skip
def test_a_split_is_judged_by_its_counts(counts, wrong):
    facts = {"train_rows": 9, "train_users": 4, "holdout_rows": 2, "valid_cases": 2, **counts}
    with pytest.raises(InputError, match=wrong) if wrong else nullcontext():
        knobs_check.split(facts, trained=True, stacked=True, processes=2, devices="auto")


def test_knobs_may_be_added_to_a_part_that_has_none():
    check({"profiler": {"model_kwargs": {"dtype": "bfloat16"}}}, {"profiler": {"model_kwargs": {}}})
