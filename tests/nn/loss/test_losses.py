"""The losses against hand computation, against one another in their limits, and each with the score it trains."""

import math
from dataclasses import fields

import pytest
import torch
import yaml
from hydra.utils import get_class
from torch import nn

from pte.nn.kernel.cross_entropy import catalogue_cross_entropy
from pte.nn.loss.base import inner, softmax_loss
from pte.nn.loss.bce import BinaryCrossEntropy
from pte.nn.loss.cross_entropy import CrossEntropy
from pte.nn.loss.gbce import GBCE
from pte.nn.loss.infonce import InfoNCE
from pte.nn.loss.negative import Exclusion, batch_negatives, negatives
from pte.nn.loss.sampled_softmax import SampledSoftmax
from pte.paths import CONF_DIR
from pte.schema import InputError

N, D, T = 7, 4, 5


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def problem(draw):
    """hidden (T, D), table (N+1, D), target (T,)."""
    table = torch.randn(N + 1, D, generator=draw)
    table[0] = 0
    return torch.randn(T, D, generator=draw), table, torch.tensor([3, 1, 7, 3, 5])


LOSSES = (CrossEntropy, SampledSoftmax, BinaryCrossEntropy, GBCE, InfoNCE)


def fields_of(kind):
    return [field.name for field in fields(kind)]


def make(kind, **knobs):
    """A loss with those of the knobs that are its own."""
    return kind(**{name: value for name, value in knobs.items() if name in fields_of(kind)})


# ---- the formulas, by hand


def test_softmax_loss_by_hand():
    loss = softmax_loss(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 2.0], [0.0, -math.inf]]))
    assert loss[0].item() == pytest.approx(math.log(math.e + 1 + math.e**2) - 1, abs=1e-6)
    assert loss[1].item() == pytest.approx(math.log(2), abs=1e-6)


def test_binary_cross_entropy_by_hand():
    # Two items: the only negative of item 1 is item 2. s_1 = 2, s_2 = -1.
    hidden, table = torch.tensor([[1.0]]), torch.tensor([[0.0], [2.0], [-1.0]])
    loss = BinaryCrossEntropy(negatives=1)(hidden, table, torch.tensor([1]), total=1.0)
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    assert loss.item() == pytest.approx(-(math.log(sigmoid(2)) + math.log(1 - sigmoid(-1))) / 2, abs=1e-6)


def test_beta_by_hand_and_at_its_ends():
    # alpha = 2/8: beta = .25 (.75 (1 - 4) + 4) = .4375
    assert GBCE(2, calibration=0.75).beta(9) == pytest.approx(0.4375)
    assert GBCE(2, calibration=0.0).beta(9) == pytest.approx(1.0)
    assert GBCE(2, calibration=1.0).beta(9) == pytest.approx(0.25)
    assert GBCE(8, calibration=1.0).beta(9) == pytest.approx(1.0)  # nothing is left out, so nothing is to be calibrated


def test_gbce_equals_the_published_transform_in_float64(problem):
    hidden, table, target = problem
    loss = GBCE(negatives=3, calibration=0.75)
    drawn = negatives(Exclusion.targets(target), 3, N, torch.Generator().manual_seed(0))
    positive = (hidden * table[target]).sum(1).double()
    b = loss.beta(N)
    logit = -(positive.sigmoid().pow(-b) - 1).log()  # sigma(logit) = sigma(s)^beta
    negative = torch.einsum("td,tkd->tk", hidden, table[drawn]).double()
    logits = torch.cat([logit[:, None], negative], 1)
    truth = torch.zeros_like(logits)
    truth[:, 0] = 1
    expected = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1).sum() / T
    found = loss(hidden, table, target, total=T, generator=torch.Generator().manual_seed(0))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_info_nce_by_hand():
    # cosines: target 1, the one negative 0; temperature .5
    hidden, table = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 2.0]])
    loss = InfoNCE(negatives=40, temperature=0.5)
    drawn, _ = batch_negatives(torch.tensor([1]), 40, 2, 1.0, torch.Generator().manual_seed(0))
    others = int((drawn == 2).sum())  # the target among the draws is taken out
    assert 0 < others < 40
    found = loss(hidden, table, torch.tensor([1]), total=1.0, generator=torch.Generator().manual_seed(0))
    assert found.item() == pytest.approx(math.log(math.e**2 + others) - 2, abs=1e-5)


# ---- limits


def test_gbce_without_calibration_is_bce(problem):
    for k in (1, 3):
        loss = [
            loss(*problem, total=T, generator=torch.Generator().manual_seed(1))
            for loss in (BinaryCrossEntropy(k), GBCE(k, calibration=0.0), GBCE(k, calibration=0.75))
        ]
        assert torch.equal(loss[0], loss[1])
        assert loss[2] < loss[0]  # beta < 1


def test_sampled_softmax_over_all_items_is_full_cross_entropy(problem, monkeypatch):
    """Every item drawn once has K Q = 1: no correction, and the sum over the catalogue is complete."""
    hidden, table, target = (x.clone().requires_grad_() if x.is_floating_point() else x for x in problem)
    everything = (torch.arange(1, N + 1), torch.full((N,), 1 / N))
    monkeypatch.setattr("pte.nn.loss.negative.batch_negatives", lambda *_: everything)
    sampled = SampledSoftmax(negatives=N)(hidden, table, target, total=T)
    full = catalogue_cross_entropy(hidden, table, target, total=T)
    torch.testing.assert_close(sampled, full, rtol=1e-6, atol=1e-6)
    for a, b in zip(*(torch.autograd.grad(x, (hidden, table)) for x in (sampled, full)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("uniform", [0.2, 1.0])
def test_the_corrected_sum_has_the_full_sums_mean(problem, draw, uniform):
    """E[ sum_j exp(s_j - log K Q_j) ] = sum over all items but the target, for any Q: 200,000 draws, within 4 sd."""
    hidden, table, target = problem
    drawn, q = batch_negatives(target, 200_000, N, uniform, draw)
    term = ((hidden @ table[drawn].T) - q.log()).exp().masked_fill(Exclusion.targets(target).contains(drawn), 0)
    full = (hidden @ table[1:].T).exp()
    expected = full.sum(1) - full.gather(1, target[:, None] - 1)[:, 0]
    error = (term.mean(1) - expected) / (term.std(1) / drawn.numel() ** 0.5)
    assert error.abs().max() < 4


@pytest.mark.parametrize("uniform", [0.5, None])
def test_many_negatives_approach_full_cross_entropy_if_corrected(problem, uniform):
    """100,000 draws leave an error of some 1 % in the sum."""
    full = catalogue_cross_entropy(*problem, total=T)
    corrected = SampledSoftmax(100_000, uniform=uniform)(*problem, total=T, generator=torch.Generator().manual_seed(0))
    assert corrected.item() == pytest.approx(full.item(), abs=0.02)


def test_a_user_who_met_everything_leaves_only_the_target():
    hidden, table, target = torch.tensor([[1.0]]), torch.tensor([[0.0], [2.0], [-1.0]]), torch.tensor([1])
    exclusion = Exclusion.histories(torch.tensor([[2]]), torch.tensor([[1]]), torch.tensor([[1]]))
    loss = BinaryCrossEntropy(3)(hidden, table, target, total=1.0, exclusion=exclusion)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)) / 4, abs=1e-6)


def test_low_temperature_of_info_nce_sees_only_the_hardest_negative(problem):
    hidden, table, target = problem
    drawn, _ = batch_negatives(target, 3, N, 1.0, torch.Generator().manual_seed(2))
    cosine = inner(*InfoNCE().vectors(hidden, table))
    hardest = cosine[:, drawn - 1].masked_fill(Exclusion.targets(target).contains(drawn), -math.inf).amax(1)
    margin = (hardest - cosine.gather(1, target[:, None] - 1)[:, 0]).clamp(min=0)
    tau = 1e-3
    loss = InfoNCE(negatives=3, temperature=tau)(
        hidden, table, target, total=1, generator=torch.Generator().manual_seed(2)
    )
    assert loss.item() * tau == pytest.approx(margin.sum().item(), abs=5 * tau * math.log(4))


# ---- the seam


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_is_a_sum_over_total_and_a_function_of_the_generator(kind, problem):
    hidden, table, target = problem
    loss = make(kind, uniform=1.0, negatives=4)
    whole, again, half = (
        loss(hidden, table, target, total=total, generator=torch.Generator().manual_seed(5)) for total in (T, T, 2 * T)
    )
    assert whole.shape == ()
    assert torch.equal(whole, again)
    torch.testing.assert_close(2 * half, whole)


@pytest.mark.parametrize("kind", LOSSES)
def test_training_by_a_loss_ranks_the_target_first_under_its_own_score(kind, draw):
    """Loss geometry = ranking geometry: free states fitted to their targets must win under `score`, by a wide table."""
    table = torch.randn(N + 1, D, generator=draw) * torch.linspace(0.5, 3, N + 1)[:, None]
    table[0] = 0
    table, target = nn.Parameter(table), torch.arange(1, N + 1)
    hidden = nn.Parameter(torch.randn(N, D, generator=draw))
    loss = make(kind, temperature=0.2, negatives=6, exclude_history=False)
    optimizer = torch.optim.Adam([hidden, table], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss(hidden, table, target, total=N, generator=draw).backward()
        optimizer.step()
    score = inner(*loss.vectors(hidden, table))
    assert score.shape == (N, N)
    assert torch.equal(score.argmax(1) + 1, target)
    assert table[0].abs().max() == 0  # padding takes no gradient


def test_info_nce_scores_by_cosine(problem):
    hidden, table, _ = problem
    loss = InfoNCE()
    score = inner(*loss.vectors(hidden, table))
    longer = loss.vectors(3 * hidden, table * torch.linspace(1, 9, N + 1)[:, None])
    torch.testing.assert_close(inner(*longer), score)
    torch.testing.assert_close(score[1, 2], torch.cosine_similarity(hidden[1], table[3], dim=0))


def test_losses_stay_finite_where_logits_are_large(problem):
    hidden, table, target = problem
    for kind in LOSSES[1:]:
        h = (1e4 * hidden).requires_grad_()
        loss = kind()(h, table, target, total=T)
        loss.backward()
        assert loss.isfinite()
        assert h.grad.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "knob", "value"),
    [(BinaryCrossEntropy, "negatives", 0), (SampledSoftmax, "negatives", -1), (GBCE, "negatives", 0),
     (InfoNCE, "negatives", 0), (InfoNCE, "temperature", 0.0), (GBCE, "calibration", 1.5), (GBCE, "calibration", -0.1),
     (SampledSoftmax, "uniform", 0.0), (SampledSoftmax, "uniform", 1.5), (CrossEntropy, "kernel", "fused")],
)  # fmt: skip
def test_a_loss_refuses_what_its_knobs_cannot_be(kind, knob, value):
    with pytest.raises(InputError, match=f"backbone.loss.{knob}={value}"):
        kind(**{knob: value})


@pytest.mark.parametrize("kind", [BinaryCrossEntropy, GBCE, InfoNCE])
def test_shared_negatives_mean_the_same_in_the_long_run(kind, problem):
    """The mean of 20,000 negatives, shared or each target's own: equal within 1 %. 1/7 of the shared ones are void."""
    shared, own = (
        make(kind, negatives=20_000, temperature=1.0, shared=shared)(
            *problem, total=T, generator=torch.Generator().manual_seed(0)
        ).item()
        for shared in (True, False)
    )
    expected = own + math.log(6 / 7) if kind is InfoNCE else own * 6 / 7
    assert shared == pytest.approx(expected, rel=0.01)


OPTIONS = sorted((CONF_DIR / "backbone" / "loss").glob("*.yaml"))


@pytest.mark.parametrize("file", OPTIONS, ids=[file.stem for file in OPTIONS])
def test_every_option_is_a_file_and_a_class_of_the_same_name_and_says_the_class_own_defaults(file):
    knobs = yaml.safe_load(file.read_text(encoding="utf-8"))
    kind = get_class(knobs.pop("_target_"))
    assert kind.__module__ == f"pte.nn.loss.{file.stem}"
    assert kind(**knobs) == kind()
    assert knobs.keys() == set(fields_of(kind))
