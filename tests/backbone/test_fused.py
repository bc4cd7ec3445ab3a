"""The gated sum of experts: by hand, with each expert off, after saving, and under another numbering of the items."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pte.backbone.expert import gate as module
from pte.backbone.expert import popularity
from pte.backbone.expert.likeness import Likeness, neighbor_matrix
from pte.backbone.expert.profile import Profile
from pte.backbone.fused import EXPERTS, Fused
from pte.backbone.markov import Markov
from pte.backbone.sasrec import SASRec
from pte.nn.batch import History, PackedBatch
from pte.nn.contract import Backbone
from pte.nn.kernel import chunked_scoring
from pte.nn.statistic.whitening import axes
from pte.representation.llm_only import LlmOnly
from pte.schema import InputError

N = 6
VECTORS = torch.randn(N + 1, 4, generator=torch.Generator().manual_seed(3))
VECTORS[0] = 0
ITEM, START = np.array([1, 2, 3, 2, 3, 4, 5, 6, 1, 2]), np.array([0, 3, 6, 8, 10])
MEMORY = {"window": 2, "distance_power": 1.0, "backward": 0.5, "shrink": 1.0, "recency": 0.5, "fallback": 0.01}
HISTORY = History(torch.tensor([[1, 2, 0], [5, 1, 2], [4, 0, 0]]), torch.tensor([2, 3, 1]), torch.tensor([1, -1, 0]))
USERS = torch.randn(2, 4, generator=torch.Generator().manual_seed(4))
GATE = torch.tensor([[0.9, 0.1], [5.0, -1.0], [3.0, 0.5], [2.0, 0.0], [1.5, 0.0]], dtype=torch.float64)


class Reader(nn.Module, Backbone):
    """Scores by a product of text vectors: no number of its own."""

    def __init__(self, *, representation: nn.Module, num_items: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.register_buffer("vectors", VECTORS.clone())

    def score(self, history: History, *, noise=None) -> torch.Tensor:
        return self.vectors[history.item].sum(dim=1) @ self.vectors[1:].T


def fused(experts=EXPERTS, vectors=VECTORS, users=USERS, **knobs) -> Fused:
    usual = {"reader": Reader, "neighbors": 2, "candidates": N, "gate_features": ["history_length"]}
    usual |= {"memory": functools.partial(Markov, length=50, **MEMORY)}
    usual |= {"likeness": functools.partial(Likeness, recency=0.5, components=None, neighbors=None, eps=1e-5)}
    model = Fused(
        representation=nn.Module(), num_items=N, length=50, experts=experts,
        profile=functools.partial(Profile, components=None, eps=1e-5), **usual | knobs,
    )  # fmt: skip
    model.attach(vectors, users)
    model.fit(ITEM, START)
    return model.eval()


def questions():
    target, seen = torch.tensor([3, 4, 5]), HISTORY.item
    yield HISTORY, target, seen


def gated(model: Fused) -> Fused:
    model.fit_gates(questions())
    return model


def test_the_score_is_the_gated_sum_by_hand():
    model = fused()
    model.gate.copy_(GATE)
    # History 4 alone: log length 0, so the gates are their constants.
    reader = VECTORS[4] @ VECTORS[1:].T
    z = model.likeness.direction
    cosine = z[1:] @ z[4]
    # Sequence 2 3 4: backward pairs 4<-3 at distance 1 (.5) and 4<-2 at 2 (.25); counts n2=3, n3=2, n4=1; shrink 1.
    row = torch.zeros(N)
    row[2], row[1] = 0.5 / math.sqrt(2 * 3), 0.25 / math.sqrt(2 * 4)
    carried = row @ torch.from_numpy(neighbor_matrix(z[1:], 2).toarray()).float()
    own = axes(VECTORS[1:])
    p = F.normalize(own.whiten(USERS[:1], 4, 1e-5).float(), dim=1)[0]
    expected = 0.9 * reader + 5 * cosine + 3 * row / row.max() + 2 * carried / carried.max() + 1.5 * (z[1:] @ p)
    torch.testing.assert_close(model.score(HISTORY)[2], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("experts", [["likeness"], ["likeness", "memory", "carried", "profile"]])
def test_likeness_to_all_other_texts_is_likeness_and_to_few_its_largest(experts):
    likeness = functools.partial(Likeness, recency=0.5, components=None, eps=1e-5)
    every, all_near, few = (
        fused(experts, likeness=functools.partial(likeness, neighbors=count)) for count in (None, N - 1, 2)
    )
    for model in (every, all_near, few):
        model.gate[:, 0] = torch.tensor([5.0, 3, 2, 1.5])[: len(experts)]
    torch.testing.assert_close(all_near.score(HISTORY), every.score(HISTORY))
    by_expert = zip(few.gate[:, 0].float(), few._experts(HISTORY, None), strict=True)
    torch.testing.assert_close(few.score(HISTORY), sum(gate * score for gate, score in by_expert))
    z = every.likeness.direction[1:]
    cosine = z @ z.T
    third = cosine.topk(3, dim=1).values[:, 2:]  # itself and two
    last = torch.nn.functional.one_hot(HISTORY.item[2:, 0] - 1, N).float()  # a history of one item
    one = HISTORY.rows(torch.tensor([2]))
    expected = last @ torch.where(cosine >= third, cosine, 0)
    torch.testing.assert_close(few.likeness.score(one, 0.5), expected)


@pytest.mark.parametrize("neighbors", [None, 2])
def test_a_longer_recency_is_the_same_experts_read_once_more(neighbors):
    def read(recency, **more):
        likeness = functools.partial(Likeness, recency=recency, components=None, neighbors=neighbors, eps=1e-5)
        memory = functools.partial(Markov, length=50, **MEMORY | {"recency": recency})
        return fused(["likeness", "memory", "profile"], likeness=likeness, memory=memory, **more)

    recent, longer, both = read(0.5), read(0.9), read(0.5, long_recency=0.9)
    assert both.terms == ["likeness", "likeness_long", "memory", "memory_long", "profile"]
    near, far, twice = ([*model._experts(HISTORY, None)] for model in (recent, longer, both))
    for own, expected in zip(twice, (near[0], far[0], near[1], far[1], near[2]), strict=True):
        torch.testing.assert_close(own, expected)
    both.gate[:, 0] = torch.tensor([5.0, -2, 3, 1, 0.5])
    expected = sum(gate * score for gate, score in zip(both.gate[:, 0].float(), twice, strict=True))
    torch.testing.assert_close(both.score(HISTORY), expected)


def test_the_fixed_gate_of_an_expert_read_twice_is_shared():
    twice = fused(["reader", "likeness", "memory"], long_recency=0.9)
    shares = [share for name in twice.experts for share in twice._prior(name)]
    assert shares == [1, 3, 3, 3, 3]


def test_parts_that_share_their_memory_are_whole_together(monkeypatch):
    model = gated(fused(gate_features=["history_length", "popularity"], long_recency=0.9))
    expected = model.score(HISTORY)
    monkeypatch.setattr(chunked_scoring, "_ROWS", 1)
    monkeypatch.setitem(chunked_scoring._SCORES, "cpu", 0)
    assert [len(part) for part in model.score_parts(HISTORY)] == [1, 1, 1]
    torch.testing.assert_close(model.score(HISTORY), expected)


def test_popularity_adds_a_parabola_of_log_counts():
    plain, model = fused(), fused(gate_features=["history_length", "popularity"])
    model.gate.copy_(GATE)
    plain.gate.copy_(GATE)
    model.popularity.copy_(torch.tensor([-0.5, 0.25]))
    log_count = np.log1p(np.bincount(ITEM, minlength=N + 1)[1:])
    x = torch.from_numpy((log_count - log_count.mean()) / log_count.std()).float()
    torch.testing.assert_close(model.score(HISTORY), plain.score(HISTORY) - 0.5 * x + 0.25 * x**2)


def test_popularity_of_equal_items_is_nothing():
    assert not popularity.powers(np.array([1, 2, 3, 3, 2, 1]), 3).any()


@pytest.mark.parametrize("experts", [["reader", "likeness"], ["likeness", "profile"]])
def test_where_no_expert_counts_popularity_counts_nothing(experts):
    model = gated(fused(experts, gate_features=["popularity"]))
    assert model.popularity is None
    assert "popularity" not in model.state_dict()
    torch.testing.assert_close(model.score(HISTORY), gated(fused(experts, gate_features=[])).score(HISTORY))


@pytest.mark.parametrize("slopes", [[], ["history_length"]])
def test_the_weights_of_popularity_that_made_the_choices_are_found(slopes):
    """4,000 choices by a likeness under 2, and x and x^2 under 1 and -.5."""
    generator = torch.Generator().manual_seed(0)
    rows, items = 4000, 30
    length = torch.full((rows,), 3)
    history = History(torch.ones(rows, 3, dtype=torch.int64), length)
    score = torch.randn(rows, items, generator=generator)
    x = torch.randn(items, generator=generator)
    powers = torch.stack([x, x**2])
    utility = 2 * score + x - 0.5 * x**2
    target = torch.multinomial(utility.softmax(dim=1), 1, generator=generator)[:, 0] + 1
    none = torch.zeros(rows, 1, dtype=torch.int64)
    choices = module.choices([score], history, target, none, candidates=items, slopes=bool(slopes), item=powers)
    fitted = module.fit([choices], [1.0], slopes=bool(slopes))
    torch.testing.assert_close(fitted.item, torch.tensor([1.0, -0.5]).double(), atol=0.1, rtol=0)
    assert abs(fitted.value[0] @ torch.tensor([1.0, np.log(3)]).double() - 2) < 0.15


def test_what_the_history_holds_moves_by_one_number_and_nothing_else_moves():
    model = fused()
    model.gate.copy_(GATE)
    before = model.score(HISTORY)
    model.repeat.fill_(-7.0)
    mask = torch.zeros(3, N + 1).scatter(1, HISTORY.item, 1.0)[:, 1:]
    torch.testing.assert_close(model.score(HISTORY), before - 7 * mask)


def test_repeats_have_their_share_of_what_is_expected():
    """Every item is a candidate here, but for half a case by which the share of such targets is drawn towards 1/2."""
    model, target = gated(fused()), torch.tensor([5, 5, 5])
    facts = model.fit_repeat([(HISTORY, target)], 0.25)
    score, mask = model.score(HISTORY).double(), torch.zeros(3, N + 1).scatter(1, HISTORY.item, 1.0)[:, 1:].bool()
    assert facts["repeat_covered"] == pytest.approx(3.5 / 4)
    assert float((score.softmax(1) * mask).sum(1).mean()) == pytest.approx(0.25 / (0.25 + 0.75 * 3.5 / 4), abs=1e-5)
    assert facts["repeat"] == round(float(model.repeat), 6)


def test_repeats_weigh_more_where_few_of_the_other_targets_are_candidates():
    """The least likely items are targets: none is among the best, so that all there is to choose from repeats."""
    near, far = (fused(experts=["likeness"], candidates=1) for _ in range(2))
    for model in (near, far):
        model.gate.fill_(1.0)
    mask = torch.zeros(3, N + 1).scatter(1, HISTORY.item, 1.0)[:, 1:].bool()
    score = near.score(HISTORY)
    best = score.masked_fill(mask, -torch.inf).argmax(1) + 1
    worst = score.masked_fill(mask, torch.inf).argmin(1) + 1
    share = [model.fit_repeat([(HISTORY, target)], 0.25) for model, target in ((near, best), (far, worst))]
    assert share[0]["repeat_covered"] > share[1]["repeat_covered"]
    assert share[0]["repeat"] < share[1]["repeat"]


def test_a_gate_moves_with_the_length_of_the_history():
    model = fused(experts=["likeness"])
    model.gate.copy_(torch.tensor([[2.0, 3.0]]))
    plain = model.likeness.score(HISTORY, 0.5)
    factor = 2 + 3 * torch.tensor([2.0, 3.0, 1.0]).log()
    torch.testing.assert_close(model.score(HISTORY), plain * factor[:, None])


@pytest.mark.parametrize("off", EXPERTS)
def test_an_expert_switched_off_leaves_the_others_alone(off):
    rest = [name for name in EXPERTS if name != off]
    whole, part = fused(), fused(experts=rest)
    gate = GATE.clone()
    gate[EXPERTS.index(off)] = 0
    whole.gate.copy_(gate)
    part.gate.copy_(gate[[name != off for name in EXPERTS]])
    torch.testing.assert_close(part.score(HISTORY), whole.score(HISTORY))


def test_strictly_text_counts_nothing_and_has_no_number_of_one_item():
    model = fused(experts=["reader", "likeness"])
    assert not model.counts
    assert model.memory is None
    before = model.score(HISTORY)
    model.fit(ITEM[::-1].copy(), START)  # other counts change nothing
    assert torch.equal(model.score(HISTORY), before)
    assert model.gate.numel() == 4


def test_another_numbering_of_the_items_renumbers_the_scores():
    order = torch.tensor([0, 4, 1, 6, 2, 3, 5])  # new number -> old number
    new = torch.empty_like(order)
    new[order] = torch.arange(N + 1)
    model = gated(fused(experts=["likeness", "memory"]))
    other = fused(experts=["likeness", "memory"], vectors=VECTORS[order])
    other.fit(new.numpy()[ITEM], START)
    history = History(new[HISTORY.item], HISTORY.length)
    other.fit_gates([(history, new[torch.tensor([3, 4, 5])], history.item)])
    torch.testing.assert_close(other.gate, model.gate, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.score(history), model.score(HISTORY)[:, order[1:] - 1], rtol=1e-4, atol=1e-4)


def strict(order: torch.Tensor) -> tuple[Fused, SASRec]:
    """Reader and likeness of text alone, the reader trained for ten steps, with items numbered by `order`."""
    torch.manual_seed(0)
    text = LlmOnly(
        num_items=N,
        vectors=VECTORS[order],
        width=8,
        components=4,
        whiten=True,
        eps=1e-5,
        head="mlp",
        hidden=8,
        dropout=0,
    )
    sasrec = SASRec(
        representation=text, num_items=N, length=5, inner=16, layers=1, heads=1, dropout=0.0, attention_dropout=0.0
    )
    new = torch.empty_like(order)
    new[order] = torch.arange(N + 1)
    row = new[torch.tensor([[1, 2, 3, 4, 0], [5, 1, 2, 6, 3]])]
    place = torch.arange(5).expand(2, 5)
    real = torch.tensor([[True, True, True, False, False], [True] * 4 + [False]])
    batch = PackedBatch(
        torch.where(real, row, 0), place, real.long(), torch.where(real, row.roll(-1, dims=1), 0), float(real.sum())
    )
    optimizer = torch.optim.AdamW(sasrec.parameters(), lr=1e-2)
    for _ in range(10):
        optimizer.zero_grad()
        sasrec.loss(batch)["loss"].backward()
        optimizer.step()
    model = fused(experts=["reader", "likeness"], vectors=VECTORS[order], reader=lambda **_: sasrec)
    model.gate.copy_(GATE[:2])
    return model, sasrec


def test_strictly_text_with_a_trained_reader_has_nothing_of_one_item_and_knows_no_number():
    order = torch.tensor([0, 4, 1, 6, 2, 3, 5])  # new number -> old number
    new = torch.empty_like(order)
    new[order] = torch.arange(N + 1)
    model, _ = strict(torch.arange(N + 1))
    other, _ = strict(order)
    assert model.free_per_item == other.free_per_item == 0
    history = History(new[HISTORY.item], HISTORY.length)
    torch.testing.assert_close(other.score(history), model.score(HISTORY)[:, order[1:] - 1], rtol=1e-3, atol=1e-4)


def test_nobody_of_the_data_and_users_without_a_text_have_no_profile():
    model = fused(experts=["profile"], users=torch.stack([USERS[0], torch.zeros(4)]))
    scores = model.profile.score(HISTORY)
    assert not scores[:2].any()  # user 1 has no text, -1 is nobody
    assert scores[2].any()
    assert not model.profile.score(History(HISTORY.item, HISTORY.length)).any()


@pytest.mark.parametrize("users", [None, torch.zeros(2, 4)])
def test_a_profile_needs_texts_of_users(users):
    with pytest.raises(InputError, match="users have no text vectors"):
        fused(experts=["profile"], users=users)


@pytest.mark.parametrize(
    "given", [{"components": 0}, {"components": -1}, {"components": 99}, {"eps": -1.0}, {"eps": 99.0}]
)
@pytest.mark.parametrize(("kind", "vectors"), [(Profile, (USERS, VECTORS[1:])), (Likeness, (VECTORS[1:],))])
def test_what_whitening_cannot_do_names_whose_knob_it_is(kind, vectors, given):
    knob, more = (
        f"backbone.{kind.__name__.lower()}.{next(iter(given))}=",
        {"recency": 0.5, "neighbors": None} if kind is Likeness else {},
    )
    with pytest.raises(InputError, match=knob):
        kind(*vectors, **{"components": None, "eps": 1e-5} | more | given)


def test_users_texts_are_read_where_an_expert_reads_them():
    assert Fused.reads_users({"experts": ["reader", "profile"]})
    assert not Fused.reads_users({"experts": ["reader", "likeness"]})


def test_gates_are_those_of_the_largest_likelihood(monkeypatch):
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "PRIOR_WEIGHT", 0.0)
    monkeypatch.setattr(module, "RIDGE", 1e-3)
    prior = torch.tensor([[6.0, 0.0], [6.0, 0.0]])
    model = gated(fused(experts=["likeness", "memory"]))

    def value(gate: torch.Tensor) -> float:
        model.gate.copy_(gate)
        score = model.score(HISTORY).double()
        score[torch.zeros(3, N + 1, dtype=torch.bool).scatter(1, HISTORY.item, True)[:, 1:]] = -torch.inf
        likelihood = score.log_softmax(1)[torch.arange(3), torch.tensor([2, 3, 4])].mean()
        return float(likelihood) - 1e-3 * float((gate - prior).square().sum()) / 2

    best = model.gate.clone()
    top = value(best)
    for place in np.ndindex(2, 2):
        for step in (-0.05, 0.05):
            moved = best.clone()
            moved[place] += step
            assert value(moved) < top


@pytest.mark.parametrize(("times", "read"), [(33, False), (34, True)])
def test_popularity_is_read_from_a_hundred_cases_on(times, read):
    model = fused(gate_features=["popularity"])
    facts = model.fit_gates(case for _ in range(times) for case in questions())
    assert facts["gate_choices"] == 3 * times
    assert bool(model.popularity.any()) == read


def test_few_questions_leave_the_gates_near_fixed_ones():
    facts = fused(gate_features=["history_length", "popularity"]).fit_gates(questions())
    assert facts["popularity"] == [0, 0]
    for name, (constant, slope) in facts["gates"].items():
        assert slope == 0
        assert abs(constant - module.PRIOR[name]) < 2.5


def test_a_target_of_the_history_is_no_question():
    model = fused(experts=["likeness"])
    seen = HISTORY.item
    facts = model.fit_gates([(HISTORY, torch.tensor([2, 4, 5]), seen)])  # 2 stands in the first history
    assert (facts["gate_rows"], facts["gate_choices"]) == (3, 2)


def test_only_questions_that_an_expert_answers_among_its_best_count():
    model = fused(experts=["likeness", "memory"], candidates=1)
    best = []
    for score in model._experts(HISTORY, None):
        seen = torch.zeros(3, N + 1, dtype=torch.bool).scatter(1, HISTORY.item, True)[:, 1:]
        best.append(score.masked_fill(seen, -torch.inf).argmax(dim=1) + 1)
    both = torch.stack(best, dim=1)
    other = next(i for i in range(1, N + 1) if i not in both[0] and i not in HISTORY.item[0])
    target = torch.tensor([other, int(both[1, 0]), int(both[2, 1])])
    assert model.fit_gates([(HISTORY, target, HISTORY.item)])["gate_choices"] == 2


def test_gates_need_a_row():
    with pytest.raises(InputError, match="no training row"):
        fused().fit_gates([])


@pytest.mark.parametrize(
    ("knobs", "word"),
    [({"experts": ["oracle"]}, "oracle"), ({"experts": []}, "empty"),
     ({"neighbors": 0}, "neighbors"), ({"candidates": 0}, "candidates"),
     ({"gate_features": ["age"]}, r"gate_features=\['age'\]: age is none of history_length, popularity")],
)  # fmt: skip
def test_mistakes_are_named(knobs, word):
    with pytest.raises(InputError, match=word):
        fused(**knobs)


def test_likeness_needs_vectors():
    with pytest.raises(InputError, match="no item vectors"):
        fused(vectors=None)


def test_nothing_scores_before_it_is_counted():
    model = Fused(
        representation=nn.Module(), num_items=N, length=50, experts=["memory"], reader=None, likeness=Likeness,
        profile=Profile,
        memory=functools.partial(Markov, length=50, **MEMORY), neighbors=1, candidates=1,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="fit comes before score"):
        model.score(HISTORY)
