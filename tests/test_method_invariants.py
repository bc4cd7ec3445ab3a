"""What holds for every method of the tables, trained or counted: metrics keep their order, items are interchangeable,
padding never ranks, the future changes no past score, and what a text gains goes with the text."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
import yaml
from helper.representation import NUM_ITEMS, SMALL, made, rename, vectors
from helper.selector import candidates, refuse
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch.nn import functional as F

from pte.backbone.sequence import history as reading
from pte.engine.build import construct
from pte.metric.rank import MISS, ranks
from pte.metric.summary import check_invariants, summarise, values
from pte.nn.batch import History
from pte.paths import CONF_DIR
from pte.protocol.leave_one_out import LeaveOneOut
from pte.representation import rlmrec_gen, unisrec
from pte.schema import Interactions, Items, Split
from pte.selector.permuted import Permuted
from pte.train import counting
from pte.train.loader import EvaluationLoader, TrainingLoader

LENGTH = 12
SMALL_BACKBONE = {
    "sasrec": {"length": LENGTH, "inner": 16},
    "dreamrec": {
        "length": LENGTH,
        "std": 1.0,
        "encoder.inner": 16,
        "diffusion.schedule": "exp",
        "diffusion.steps": 40,
    },
    "ease": {"ridge": 2.0},
    "item_knn": {"shrink": 1.0},
    "markov": {"shrink": 1.0},
    "popularity": {},
    "text_knn": {},
}
COMBINED = {
    "fused",
    "count_text",
    "bsarec",
    "gru4rec",
    "bert4rec",
}  # tests of their own
DROPS = ("llm_only", "whitenrec", "unisrec", "concat")  # representations with a dropout of their own
HEADED = ("llm_only", "concat")  # representations with the head that suits the backbone


def conf(path: Path | str) -> dict:
    return yaml.safe_load((CONF_DIR / path).with_suffix(".yaml").read_text(encoding="utf-8"))


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def pair(row: str) -> tuple[str, str]:
    """Backbone and representation of a row of the tables."""
    groups = {group: option for line in conf(f"experiment/row/{row}")["defaults"] for group, option in line.items()}
    return groups["override /backbone"], groups["override /representation"]


def trains(row: str) -> bool:
    return get_class(conf(f"backbone/{METHODS[row][0]}")["_target_"]).trained


def text_alone(row: str) -> bool:
    """Does all that tells items apart come from their texts?"""
    representation = made(METHODS[row][1])
    return representation.uses_text and representation.free_per_item == 0


METHODS = {row: pair(row) for row in options("experiment/row") if pair(row)[0] not in COMBINED}
KNOWN = [row for row, (backbone, kind) in METHODS.items() if backbone in SMALL_BACKBONE and kind in SMALL]
TRAINED = [row for row in KNOWN if trains(row)]
TEXT_ALONE = [row for row in KNOWN if text_alone(row)]


@cache
def resolved(backbone: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [f"backbone={backbone}"]), resolve=True)
    return OmegaConf.create(config["backbone"])


def composed(backbone: str) -> DictConfig:
    """The backbone's knobs as a run composes them, to be changed at will."""
    return copy.deepcopy(resolved(backbone))


def built(row: str, text: torch.Tensor | None = None, num_items: int = NUM_ITEMS, dropout: float = 0.1):
    """The method as its config files describe it, cut down in size."""
    backbone, kind = METHODS[row]
    config = composed(backbone)
    fit = config.pop("fit")
    knobs = ({"dropout": dropout} if kind in DROPS else {}) | ({"head": fit["head"]} if kind in HEADED else {})
    representation = made(kind, vectors() if text is None else text, num_items=num_items, **knobs)
    if get_class(config["_target_"]).trained:
        config.get("encoder", config).update(dropout=dropout, attention_dropout=dropout)
    for name, value in SMALL_BACKBONE[backbone].items():
        OmegaConf.update(config, name, value)
    return construct(OmegaConf.to_container(config), "backbone", representation=representation, num_items=num_items)


def walks(num_items: int = NUM_ITEMS, users: int = 40, shortest: int = 5, longest: int = 9):
    """Users walk round a circle of items, now and then skipping one; the last two items of each are held out."""
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(users, dtype=np.int32), draw.integers(shortest, longest + 1, users))
    step = 1 + (draw.random(len(user)) < 0.3)
    item = (np.cumsum(step) + draw.integers(0, num_items, users)[user]) % num_items + 1
    names = [""] + [f"i{i}" for i in range(1, num_items + 1)]
    ids = [f"u{u}" for u in range(users)]
    catalogue = Items(names, names, {})
    interactions = Interactions(user, item.astype(np.int32), np.arange(len(user)), ids, catalogue, {})
    return interactions, LeaveOneOut()(interactions)


def steps(backbone, interactions: Interactions, split: Split) -> TrainingLoader:
    """All training histories in one step."""
    return TrainingLoader(interactions, split, row_length=backbone.length, batch_size=len(split.train), seed=0)


def fitted(backbone, interactions: Interactions, split: Split, epochs: int = 5):
    """Trained for a few steps, or counted."""
    if not backbone.trained:
        with TemporaryDirectory() as folder:
            counting.keep(interactions, split, Path(folder))
            counting.count(backbone, Path(folder))
        return backbone.eval()
    loader = steps(backbone, interactions, split)
    backbone.representation.observe(loader.item, loader.begin, loader.length)
    optimizer = torch.optim.Adam(backbone.parameters(), lr=0.01)
    for epoch in range(epochs):
        torch.manual_seed(epoch)
        for batch in loader:
            optimizer.zero_grad()
            backbone.loss(batch)["loss"].backward()
            optimizer.step()
    return backbone.eval()


def answered(backbone, interactions: Interactions, split: Split):
    """Every validation question, and its scores (B, N); equal draws for whoever draws."""
    (batch,) = EvaluationLoader(interactions, split.valid, row_length=LENGTH)
    parts = backbone.score_parts(batch.history, noise=torch.Generator().manual_seed(0))
    return batch, torch.cat([part.clone() for part in parts])


@cache
def method(row: str):
    """The method after the walks; whoever changes it takes a copy."""
    return fitted(built(row), *walks())


def test_no_method_is_forgotten():
    assert list(METHODS) == KNOWN, "every row of conf/experiment/row has its backbone and its representation here"
    assert {backbone for backbone, _ in METHODS.values()} == set(options("backbone")) - COMBINED == set(SMALL_BACKBONE)
    assert {kind for _, kind in METHODS.values()} == set(options("representation")) == set(SMALL)
    backbones = {METHODS[row][0] for row in TRAINED}
    assert {METHODS[row] for row in TRAINED} == {(backbone, kind) for backbone in backbones for kind in SMALL}


@pytest.mark.parametrize("row", KNOWN)
def test_metrics_keep_their_order_and_grow_with_k(row):
    """Of ranks that are the definition's: equal scores stand ahead of the target, and nothing but items does."""
    batch, scores = answered(method(row), *walks())
    found = ranks(scores, batch.target, batch.exclusion)
    for of, target, exclusion, masked, unmasked in zip(
        scores.tolist(), batch.target.tolist(), batch.exclusion.tolist(), found.masked, found.unmasked, strict=True
    ):
        ahead = {item for item, score in enumerate(of, 1) if score >= of[target - 1]} - {target}
        assert (masked, unmasked) == (MISS if target in exclusion else len(ahead - set(exclusion)), len(ahead))
    kinds = {"masked": found.masked.numpy(), "unmasked": found.unmasked.numpy()}
    flat = summarise(kinds, {"all": np.ones(len(scores), bool)}, ks=range(1, NUM_ITEMS + 1))
    check_invariants(flat)
    assert flat[f"masked/all/Hit@{NUM_ITEMS}"] == flat[f"unmasked/all/Hit@{NUM_ITEMS}"] == 1


ORDER = torch.randperm(NUM_ITEMS, generator=torch.Generator().manual_seed(5)) + 1  # item ORDER[j] becomes item j+1


def draws_follow_items(monkeypatch):
    """What is drawn for an item, as unisrec's noise and rlmrec_gen's hidden items, goes with it to its new name."""
    place = (ORDER - 1).argsort()
    noise, sample_rows = unisrec.standard_normal, rlmrec_gen.sample_rows
    monkeypatch.setattr(unisrec, "standard_normal", lambda *given: noise(*given)[ORDER - 1])
    monkeypatch.setattr(rlmrec_gen, "sample_rows", lambda *given: place[sample_rows(*given)])


@pytest.mark.parametrize("row", KNOWN)
def test_renaming_the_items_renames_the_scores(row, monkeypatch):
    """From data, texts and first values of parameters under other names, through training, to scores and ranks.

    Sums over items add up in another order. Each rounds to 6e-8 of its size, and a score is made of some hundred in a
    row, so that scores agree to 2e-5 of the largest. Ranks are equal where no item is nearer to the target than twice
    that; those that are equal to the bit count as ahead under either name.
    """
    (interactions, split), text = walks(), vectors()
    name = np.concatenate([[0], (ORDER - 1).argsort().numpy() + 1])
    one, other = built(row, dropout=0.0), built(row, torch.cat([text[:1], text[ORDER]]), dropout=0.0)
    if one.trained:
        untrained = answered(copy.deepcopy(one).eval(), interactions, split)[1]
        other.load_state_dict(other.state_dict() | dict(one.named_parameters()))
        rename(one.representation, other.representation, ORDER)
    batch, scores = answered(fitted(one, interactions, split), interactions, split)
    renamed = replace(interactions, item=name[interactions.item].astype(np.int32))
    with monkeypatch.context() as patch:
        draws_follow_items(patch)
        fitted(other, renamed, split)
    cases, found = answered(other, renamed, split)
    size = float(scores.abs().max())
    torch.testing.assert_close(found, scores[:, ORDER - 1], rtol=0, atol=2e-5 * size)
    if one.trained:
        assert (scores - untrained).abs().max() > 0.1 * size, "training is part of it"

    away = (scores - scores.gather(1, batch.target[:, None] - 1)).abs()
    clear = ((away == 0) | (away > 4e-5 * size)).all(dim=1)
    assert clear.float().mean() > 0.9
    before, after = ranks(scores, batch.target, batch.exclusion), ranks(found, cases.target, cases.exclusion)
    assert torch.equal(before.masked[clear], after.masked[clear])
    assert torch.equal(before.unmasked[clear], after.unmasked[clear])


@pytest.mark.parametrize("row", KNOWN)
def test_padding_never_ranks(row, monkeypatch):
    """It has no column, more of it changes no score, and no more does a vector in its place ten times any other.

    A longer row adds up zeros in another order: 1e-5 of the largest score is more than a hundred roundings.
    """
    backbone, (interactions, split) = copy.deepcopy(method(row)), walks()
    batch, scores = answered(backbone, interactions, split)
    length, more = batch.history.length, LENGTH - batch.history.item.shape[1]
    longer = History(F.pad(batch.history.item, (0, more)), length)
    assert more > 0
    assert length.unique().numel() > 1

    def same(history):
        again = backbone.score(history, noise=torch.Generator().manual_seed(0))
        assert again.shape == (len(length), NUM_ITEMS)
        torch.testing.assert_close(again, scores, rtol=0, atol=1e-5 * float(scores.abs().max()))

    same(longer)
    for buffer in backbone.buffers():
        if buffer.ndim == 2 and len(buffer) == NUM_ITEMS + 1:
            buffer[0] = 10 * buffer.abs().max()
    if backbone.trained:
        table = backbone.representation.table().detach().clone()
        table[0] = 10 * table.abs().max()
        monkeypatch.setattr(backbone.representation, "table", lambda: table)
    same(batch.history)
    same(longer)


def without_future(interactions: Interactions, split: Split):
    """The same past: the last interaction of every user is gone, and the one validation asks for is another item's."""
    keep = np.ones(len(interactions.item), bool)
    keep[split.test.target] = False
    item = interactions.item.copy()
    item[split.valid.target] = item[split.valid.target] % NUM_ITEMS + 1
    valid = replace(split.valid, target=(np.cumsum(keep) - 1)[split.valid.target])
    past = replace(interactions, user=interactions.user[keep], item=item[keep], time=interactions.time[keep])
    return past, Split(split.train[keep], split.visible[keep], valid, valid)


@pytest.mark.parametrize("row", KNOWN)
def test_what_is_held_out_changes_no_score(row):
    """Neither through training nor through the question: to the bit, since nothing else differs."""
    other = without_future(*walks())
    before, scores = answered(method(row), *walks())
    after, found = answered(fitted(built(row), *other), *other)
    assert not (before.target == after.target).any()
    assert torch.equal(found, scores)


@pytest.mark.parametrize("row", TRAINED)
def test_a_later_item_changes_no_earlier_state_or_loss(row, monkeypatch):
    """In training, where histories share rows, with all that is drawn there; to the bit, since equal sums are equal.

    The last input of every history becomes another item. No other place may notice, neither its state nor, since the
    targets stay as they were, its loss.
    """
    backbone = copy.deepcopy(method(row)).train()
    (batch,) = steps(backbone, *walks())
    last = batch.last_places()
    one = replace(batch, target=batch.target.masked_fill(last, 0))
    other = replace(one, item=torch.where(last, one.item % NUM_ITEMS + 1, one.item))
    monkeypatch.setattr(reading, "extras", lambda *_: torch.zeros(()))  # they are of whole histories and of the table
    states, losses = [], []
    for each in (one, other):
        torch.manual_seed(1)
        table = getattr(backbone, "table", backbone.representation.table)()
        states.append(reading.states(backbone.encoder, backbone.representation, table, each))
        losses.append(backbone.loss(each)["loss"].item())
    moved = (states[0] - states[1]).abs().amax(dim=-1)
    assert (batch.segment.amax(dim=1) > 1).any()
    assert moved[last].max() > 1e-3
    assert moved[~last].max() == 0
    assert losses[0] == losses[1] > 0


RING, WALKERS = 120, 80
EPOCHS = {"dreamrec_whitenrec": 200}  # its first vectors are almost parallel, and on a sphere they part slowly


def ring() -> torch.Tensor:
    """(121, 10) texts of items on a circle, like those of their neighbours: five harmonics; row 0 zeros."""
    angle = torch.arange(RING + 1)[:, None] * 2 * torch.pi / RING * torch.arange(1, 6)
    text = F.normalize(torch.cat([angle.sin(), angle.cos()], dim=1) + 0.3, dim=1)
    text[0] = 0
    return text


def dealt_out_anew(text: torch.Tensor) -> torch.Tensor:
    """As selector=permuted does it."""
    table = replace(candidates(num=RING), vector=text[1:, None], is_user=torch.zeros(RING, dtype=torch.bool))
    return torch.cat([text[:1], Permuted(seed=1).select(table, fit=refuse).vector])


@pytest.mark.parametrize("row", TEXT_ALONE)
def test_what_a_text_gains_goes_with_the_text(row):
    """On walks round a circle of texts, where the next item reads like the last; validation NDCG@10, masked.

    A random order of the at least 110 items that nobody has met yet has sum_{r < 10} 1 / log2(r + 2) / 110 = .041. Five
    standard errors over users lie between true texts and permuted ones, which keep less than half of the gain: what
    can be learnt of 120 items one by one.
    """
    interactions, split = walks(RING, WALKERS, shortest=8, longest=12)
    by_user = []
    for text in (ring(), dealt_out_anew(ring())):
        backbone = fitted(built(row, text, RING), interactions, split, EPOCHS.get(row, 80))
        batch, scores = answered(backbone, interactions, split)
        by_user.append(values("NDCG", ranks(scores, batch.target, batch.exclusion).masked.numpy(), 10))
    true, permuted = by_user
    more, chance = true - permuted, 0.041
    assert more.mean() > 5 * more.std() / WALKERS**0.5
    assert permuted.mean() - chance < (true.mean() - chance) / 2
