"""The number of processes changes nothing: the same steps, losses, gradients and ranks from one, two and three.

One gloo group of each size, started once, goes through all methods and sizes.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helper.representation import made
from helper.training import ITEMS, walks
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.engine.build import construct
from pte.metric.rank import ranks
from pte.nn.noise import CaseNoise
from pte.paths import CONF_DIR
from pte.schema import Cases
from pte.train.loader import EvaluationLoader, TrainingLoader
from pte.train.recommender import Recommender

WORLDS = (2, 3)
SMALL = ["backbone.length=8", "backbone.fit.width=8"]
DROPS = ["backbone.dropout=0.3", "backbone.inner=16"]
METHODS = {  # representation, and what is typed of the backbone
    "sasrec": ("id", ["backbone=sasrec", *DROPS]),
    "bsarec": ("unisrec", ["backbone=bsarec", *DROPS]),
    "gru4rec": ("rlmrec_gen", ["backbone=gru4rec", "backbone.dropout=0.3", "backbone.hidden=8"]),
    "dreamrec": ("id", ["backbone=dreamrec", "backbone.encoder.dropout=0.3", "backbone.encoder.inner=16"]),
    "bert4rec": ("id", ["backbone=bert4rec", *DROPS]),
    "two_views": ("llm_esr", ["backbone=sasrec", *DROPS]),
    "two_views_bert4rec": ("llm_esr", ["backbone=bert4rec", *DROPS]),
    "dropped_text": ("llm_only", ["backbone=sasrec", *DROPS]),
    "sampled_softmax": ("id", ["backbone=sasrec", "backbone/loss=sampled_softmax", *DROPS]),
    "own_negatives": (
        "id",
        ["backbone=sasrec", "backbone/loss=sampled_softmax", "backbone.loss.uniform=null", *DROPS],
    ),
    "gbce": ("id", ["backbone=sasrec", "backbone/loss=gbce", "backbone.loss.negatives=4", *DROPS]),
    "infonce": ("rlmrec_con", ["backbone=sasrec", "backbone/loss=infonce", *DROPS]),
    "bert4rec_bce": ("id", ["backbone=bert4rec", "backbone/loss=bce", *DROPS]),
    "bert4rec_shared": ("rlmrec_gen", ["backbone=bert4rec", "backbone/loss=sampled_softmax", *DROPS]),
    "bert4rec_hidden": ("rlmrec_gen", ["backbone=bert4rec", *DROPS]),
}
SIZES = sorted({users for world in WORLDS for users in range(world, 7 * world + 1)})


def module(kind, config, rank, world):
    """The method with the weights of a seed, as one of `world` processes trains it in its fourth epoch."""
    text = torch.randn(ITEMS + 1, 10, generator=torch.Generator().manual_seed(1)) + 0.5
    text[0] = 0
    change = {"heads": 2} if kind == "llm_esr" else {"sample": 5} if kind == "rlmrec_con" else {}
    change = {"null_space": {}} if kind == "alphafuse" else change
    representation = made(kind, text if kind != "id" else None, num_items=ITEMS, **change)
    torch.manual_seed(0)
    backbone = construct(config, "backbone", representation=representation, num_items=ITEMS)
    found = Recommender(backbone=backbone, optimizer=None, seed=3, products="float32")
    found._trainer = SimpleNamespace(world_size=world, global_rank=rank, current_epoch=3, barebones=False)
    return found.train()


def steps(kind, config, rank, world):
    """Each step's loss in this process, and the gradients of all."""
    interactions, split = walks(users=17)
    loader = TrainingLoader(interactions, split, row_length=8, batch_size=8, seed=3, rank=rank, world=world)
    loader.set_epoch(3)
    found = module(kind, config, rank, world)
    found.backbone.representation.observe(loader.item, loader.begin, loader.length)
    losses = []
    for number, batch in enumerate(loader):
        loss = found.training_step(batch, number)
        loss.backward()
        losses.append(loss.item())
    gradients = {name: p.grad.clone() for name, p in found.named_parameters() if p.grad is not None}
    return losses, {name: gradient.numpy() for name, gradient in gradients.items()}


def figures_of(config, rank, world, users):
    """What validation of so many users finds: the figures, and the ranks of this process's cases."""
    interactions, split = walks(users=max(SIZES))
    cases = Cases(split.valid.user[:users], split.valid.target[:users], split.valid.tied[:users])
    found, rank_of = module("id", config, rank, world).eval(), {}
    for number, batch in enumerate(EvaluationLoader(interactions, cases, row_length=8, rank=rank, world=world)):
        found.validation_step(batch, number)
        scores = found.backbone.score(batch.history, noise=CaseNoise(3, batch.case.numpy()))
        masked = ranks(scores, batch.target, batch.exclusion).masked
        rank_of |= dict(zip(batch.case.tolist(), masked.tolist(), strict=True))
    figures = {name: float(value) for name, value in found.metrics["masked"].compute().items()}
    return figures, rank_of


def work(rank, world, file, configs, queue):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    found = {name: steps(kind, configs[name], rank, world) for name, (kind, _) in METHODS.items()}
    sizes = [users for users in SIZES if users >= world]
    figures = {(name, n): figures_of(configs[name], rank, world, n) for name in ("sasrec", "dreamrec") for n in sizes}
    queue.put((rank, found, figures))
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def configs():
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        found = {}
        for name, (kind, words) in METHODS.items():
            config = compose("config", [f"representation={kind}", *words, *SMALL])
            found[name] = OmegaConf.to_container(config.backbone, resolve=True)
            found[name].pop("fit")
    return found


@pytest.fixture(scope="module")
def groups(configs, tmp_path_factory):
    """What every process of each group found, by world size."""
    context, found = mp.get_context("spawn"), {}
    for world in WORLDS:
        queue = context.Queue()
        file = tmp_path_factory.mktemp("group") / "store"
        group = [context.Process(target=work, args=(r, world, file, configs, queue)) for r in range(world)]
        for process in group:
            process.start()
        try:
            found[world] = sorted((queue.get(timeout=300) for _ in group), key=lambda answer: answer[0])
        finally:
            for process in group:
                process.join(30)
                process.kill()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_step_is_the_same_on_any_number_of_processes(name, configs, groups):
    """Losses and gradients are means over the processes; dropout, noise, masks and negatives go with the histories."""
    losses, gradients = steps(METHODS[name][0], configs[name], 0, 1)
    assert len(losses) > 1
    for world, answers in groups.items():
        shares = [answer[1][name] for answer in answers]
        np.testing.assert_allclose(np.mean([s[0] for s in shares], axis=0), losses, rtol=2e-6, err_msg=f"{world}")
        for key, gradient in gradients.items():
            found = sum(share[1].get(key, np.zeros_like(gradient)) for share in shares) / world
            np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=2e-5 * abs(gradient).max() + 1e-7, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sasrec", "dreamrec"])
def test_ranks_and_figures_are_the_same_for_every_number_of_users(name, configs, groups):
    for users in SIZES:
        figures, rank_of = figures_of(configs[name], 0, 1, users)
        assert sorted(rank_of) == list(range(users))
        for world, answers in groups.items():
            if users < world:
                continue
            shares = [answer[2][name, users] for answer in answers]
            assert sum(len(share[1]) for share in shares) == users
            assert {k: v for share in shares for k, v in share[1].items()} == rank_of
            assert all(share[0] == figures for share in shares)


def test_the_order_of_an_epoch_is_everybodys():
    orders = [
        TrainingLoader(*walks(users=17), row_length=8, batch_size=5, seed=3, rank=rank, world=world).members().tolist()
        for world in (1, *WORLDS)
        for rank in range(world)
    ]
    assert all(order == orders[0] for order in orders)
