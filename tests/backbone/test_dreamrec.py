"""DreamRec: what is minimised, what is drawn, and that the three ways of sampling are one distribution."""

import math

import pytest
import torch
from helper.dreamrec import ITEMS, WIDTH, Frozen, make
from torch.nn import functional as F

from pte.nn import diffusion
from pte.nn.batch import History, PackedBatch
from pte.nn.noise import CaseNoise
from pte.representation.id import Id
from pte.schema import InputError


def batch(total=None):
    """1 2 3 4 | 5 6 7 in one row and 8 9 in another."""
    item = torch.tensor([[1, 2, 3, 5, 6], [8, 0, 0, 0, 0]])
    target = torch.tensor([[2, 3, 4, 6, 7], [9, 0, 0, 0, 0]])
    position = torch.tensor([[0, 1, 2, 0, 1], [0, 0, 0, 0, 0]])
    segment = torch.tensor([[1, 1, 1, 2, 2], [1, 0, 0, 0, 0]])
    return PackedBatch(item, position, segment, target, total=total or 6.0)


HISTORY = History(torch.tensor([[1, 2, 3], [4, 0, 0]]), torch.tensor([3, 1]))


def trained(model, steps=300):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model.loss(batch())["loss"].backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize(("ranking", "cosine"), [(0.0, False), (0.25, False), (0.25, True), (1.0, False)])
def test_the_loss_is_squared_error_and_cross_entropy_in_their_shares(monkeypatch, ranking, cosine):
    """Against some lines, with time, noise and the dropped conditions replaced by known ones."""
    model, inputs = make(ranking=ranking, cosine=cosine), batch()
    time = torch.tensor([0, 5, 10, 20, 30, 39])
    noise = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(1))
    dropped = torch.tensor([[0.05], [0.5], [0.5], [0.01], [0.5], [0.5]])
    chance = torch.cat([(time[:, None] + 0.5) / 40, dropped], dim=1)
    monkeypatch.setattr(torch, "randn", lambda *args, **more: noise)
    monkeypatch.setattr(torch, "rand", lambda *args, **more: chance)
    found = model.loss(inputs)["loss"]

    table = model.representation.table()
    histories = [([1], 2), ([1, 2], 3), ([1, 2, 3], 4), ([5], 6), ([5, 6], 7), ([8], 9)]
    errors, chain = [], diffusion.ddpm(diffusion.betas("exp", 40))
    for k, (history, y) in enumerate(histories):
        c = model.encoder(table[torch.tensor([history])], torch.arange(len(history)))[0, -1]
        condition = model.null if dropped[k] < 0.1 else c
        a = (1 - diffusion.betas("exp", 40)).cumprod(0)[time[k]].float()
        x_t = a.sqrt() * table[y] + (1 - a).sqrt() * noise[k]
        tau = model.denoiser.time(diffusion.sinusoid(time[k : k + 1], WIDTH))[0]
        error = (model.denoiser.first(torch.cat([x_t, condition, tau])) - table[y]).square().mean()
        x = torch.zeros(WIDTH)
        for t, a_t, b_t in zip(chain.time, chain.a, chain.b, strict=True):
            code = model.denoiser.time(diffusion.sinusoid(t[None], WIDTH))[0]
            with_c, without_c = (model.denoiser.first(torch.cat([x, given, code])) for given in (c, model.null))
            x = a_t.float() * (3 * with_c - 2 * without_c) + b_t.float() * x
        items = F.normalize(table[1:], dim=1) * WIDTH**0.5 if cosine else table[1:]
        surprise = F.cross_entropy(items @ x / WIDTH**0.5, torch.tensor(y - 1))
        errors.append((1 - ranking) * error + ranking * surprise)
    expected = torch.stack(errors).mean()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    weights = [p for p in model.parameters() if p.requires_grad]
    pairs = zip(*(torch.autograd.grad(loss, weights, allow_unused=True) for loss in (found, expected)), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sampler", ["exact", "ddim"])
def test_what_is_ranked_in_training_is_the_mean_of_the_samples(sampler):
    model, c = make(sampler=sampler), torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(1))
    drawn = model.imagine(c.repeat(4000, 1), torch.Generator().manual_seed(1)).unflatten(0, (4000, 3))
    error = drawn.std(dim=0) / 4000**0.5
    assert ((model.expected(c) - drawn.mean(dim=0)).abs() <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_the_ranking_term_lies_from_0_to_1(share):
    with pytest.raises(InputError, match=r"backbone\.ranking"):
        make(ranking=share)


def test_a_softmax_over_all_items_and_gradients_of_some_rows_exclude_each_other():
    with pytest.raises(InputError, match=r"representation.sparse=true goes with backbone.ranking=0"):
        make(Id(num_items=ITEMS, width=WIDTH, std=1.0, sparse=True), ranking=0.5)


def test_the_loss_is_divided_by_the_given_total():
    torch.manual_seed(3)
    one = make().loss(batch(total=6.0))["loss"]
    torch.manual_seed(3)
    assert make().loss(batch(total=12.0))["loss"].item() * 2 == pytest.approx(one.item(), rel=1e-6)


def test_conditions_are_dropped_as_often_as_set():
    """A denoiser that hands back its condition shows which ones were replaced by the null vector."""
    model = make(uncondition=0.3)
    with torch.no_grad():
        model.denoiser.first.weight.zero_()
        model.denoiser.first.bias.zero_()
        model.denoiser.first.weight[:, WIDTH : 2 * WIDTH] = torch.eye(WIDTH)
    c = torch.randn(20_000, WIDTH)
    torch.manual_seed(0)
    error = model.squared_error(torch.zeros_like(c), c).detach()
    free = (error - model.null.detach().square()).abs().amax(dim=1) < 1e-6
    assert free.float().mean().item() == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / 20_000) ** 0.5)
    torch.testing.assert_close(error[~free], c[~free].square())


@pytest.mark.parametrize("through", [True, False])
def test_the_gradient_into_the_target_is_a_choice(through):
    """Item 9 occurs as a target only."""
    model = make(Id(num_items=ITEMS, width=WIDTH, std=1.0), target_gradient=through)
    model.loss(batch())["loss"].backward()
    assert (model.representation.weight.grad[9].abs().max() > 0) == through
    assert model.representation.weight.grad[1].abs().max() > 0  # an input has its gradient either way
    assert model.representation.weight.grad[0].abs().max() == 0


def test_a_space_that_trains_is_held_on_a_sphere():
    """However long its vectors grow or shrink, losses and scores see sqrt(D); a frozen space keeps its lengths."""
    model = make(Id(num_items=ITEMS, width=WIDTH, std=1.0), sphere=True)
    lengths = model.table().norm(dim=1)
    torch.testing.assert_close(lengths[1:], torch.full((ITEMS,), WIDTH**0.5))
    assert lengths[0] == 0
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        losses.append(model.loss(batch())["loss"].item())
        with torch.no_grad():
            model.representation.weight *= torch.rand(ITEMS + 1, 1) + 0.1
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.equal(make(sphere=True).table(), Frozen().rows)


def test_a_future_item_changes_no_earlier_prediction():
    losses = []
    for last in (3, 20):
        model, inputs = make(), batch()
        inputs.item[0, 2] = last
        inputs.target[0, 2:] = 0
        torch.manual_seed(0)
        losses.append(model.loss(inputs)["loss"].item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("sampler", ["exact", "ddpm", "ddim"])
def test_scores_are_a_function_of_the_generator(sampler):
    model = make(sampler=sampler).eval()
    one, same, other = (model.score(HISTORY, noise=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert one.shape == (2, ITEMS)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_sampling_leaves_the_global_generator_alone():
    model = make(sampler="ddpm").eval()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    model.score(HISTORY, noise=torch.Generator().manual_seed(1))
    assert torch.equal(torch.rand(3), expected)


def test_scores_do_not_depend_on_padding():
    model = make().eval()
    more = History(F.pad(HISTORY.item, (0, 4)), HISTORY.length)
    one, two = (model.score(h, noise=torch.Generator().manual_seed(0)) for h in (HISTORY, more))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_exact_sampling_is_ddpm_in_law_after_training():
    """The trained denoiser, guided: mean and covariance of simulated chains against the folded map."""
    model, count = trained(make()), 60_000
    looped = make(sampler="ddpm").eval()
    looped.load_state_dict(model.state_dict())
    table = model.representation.table()
    c = model.encoder.last(table[HISTORY.item], HISTORY.length).detach()[:1].expand(count, -1)
    simulated = looped.imagine(c, torch.Generator().manual_seed(0)).double()
    drawn = model.imagine(c, torch.Generator().manual_seed(1)).double()
    spread = simulated.std(dim=0)
    # difference of two means of `count` draws: five standard errors
    assert ((simulated.mean(dim=0) - drawn.mean(dim=0)) / spread).abs().max() < 5 * math.sqrt(2 / count)
    scale = torch.outer(spread, spread)
    assert ((simulated.T.cov() - drawn.T.cov()) / scale).abs().max() < 5 * math.sqrt(4 / count)


def test_exact_sampling_equals_the_noise_free_loop():
    model = trained(make(), steps=50)
    c = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0))
    tau = model.denoiser.tau(40, c.device)[model.chain.time]
    quiet = diffusion.Chain(model.chain.time, model.chain.a, model.chain.b, torch.zeros_like(model.chain.sigma))
    w, null = model.guidance, model.null.expand_as(c)

    def guided(x, step):
        return (1 + w) * model.denoiser(x, c, tau[step]) - w * model.denoiser(x, null, tau[step])

    expected = diffusion.sample(quiet, guided, torch.zeros_like(c))
    _, W_c, _ = model.denoiser.split()
    found = model.folded()(((1 + w) * c - w * model.null) @ W_c.T, torch.zeros_like(c))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_guidance_in_one_call_is_guidance_in_two():
    model = make(sampler="ddim", stride=40).eval()  # a single step: x_0 = the first guided prediction
    c, generator = torch.randn(3, WIDTH), torch.Generator().manual_seed(0)
    x = diffusion.standard_normal(c.shape, torch.Generator().manual_seed(0), c.device)
    tau = model.denoiser.tau(40, c.device)[39]
    expected = 3 * model.denoiser(x, c, tau) - 2 * model.denoiser(x, model.null.expand_as(c), tau)
    torch.testing.assert_close(model.imagine(c, generator), expected, rtol=1e-5, atol=1e-5)


def test_the_fold_follows_the_weights():
    """After new weights the scores are those of a model that never had others."""
    weights = make().state_dict()
    weights["denoiser.first.weight"] = weights["denoiser.first.weight"] * 0.5
    used, fresh = make().eval(), make().eval()
    used.score(HISTORY, noise=torch.Generator().manual_seed(0))
    scores = []
    for model in (used, fresh):
        model.load_state_dict(weights)
        scores.append(model.score(HISTORY, noise=torch.Generator().manual_seed(0)))
    assert torch.equal(*scores)


@pytest.mark.parametrize("fused", [False, True])
def test_the_fold_follows_an_optimizer(fused):
    """A fused step counts no version of what it writes."""
    used, fresh = make(), make()
    optimizer = torch.optim.Adam(used.parameters(), lr=0.1, fused=fused)
    for _ in range(2):  # a validation, training, a validation
        used.eval().score(HISTORY, noise=torch.Generator().manual_seed(0))
        used.train().loss(batch())["loss"].backward()
        optimizer.step()
    fresh.load_state_dict(used.state_dict())
    one, other = (model.eval().score(HISTORY, noise=torch.Generator().manual_seed(0)) for model in (used, fresh))
    assert torch.equal(one, other)


def test_a_score_does_not_depend_on_other_cases():
    model = make(sampler="ddpm").eval()
    both = model.score(HISTORY, noise=CaseNoise(0, [7, 9]))
    alone = model.score(History(HISTORY.item[1:], HISTORY.length[1:]), noise=CaseNoise(0, [9]))
    torch.testing.assert_close(both[1:], alone)


def test_cosine_scores_ignore_the_length_of_an_item():
    model, inner = make(cosine=True).eval(), make().eval()
    for each in (model, inner):
        before = each.score(HISTORY, noise=torch.Generator().manual_seed(0))
        each.representation.rows[5] *= 3
        # item 5 is not in the histories: only its own column could move
        after = each.score(HISTORY, noise=torch.Generator().manual_seed(0))
        assert torch.equal(before[:, :4], after[:, :4])
        assert torch.allclose(before[:, 4], after[:, 4]) == each.cosine


@pytest.mark.parametrize(("depth", "sampler"), [(1, "exact"), (1, "ddim"), (2, "ddpm"), (2, "ddim")])
def test_it_learns_what_follows_what(depth, sampler):
    """Three histories, three continuations: the learnt ones come out on top, from any draw."""
    model = trained(make(depth=depth, sampler=sampler), steps=400)
    inputs = History(torch.tensor([[1, 2, 3], [5, 6, 0], [8, 0, 0]]), torch.tensor([3, 2, 1]))
    top = model.score(inputs, noise=torch.Generator().manual_seed(5)).argmax(dim=1) + 1
    assert top.tolist() == [4, 7, 9]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"guidance": -1}, "guidance"),
        ({"uncondition": 1.0}, "uncondition"),
        ({"steps": 0}, "steps"),
        ({"depth": 2}, "sampler=ddim"),
        ({"depth": 3, "sampler": "ddim"}, "depth of 1"),
        ({"schedule": "square"}, "linear, cosine"),
        ({"sampler": "ddim", "stride": 0}, "stride"),
    ],
)
def test_mistakes_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)
