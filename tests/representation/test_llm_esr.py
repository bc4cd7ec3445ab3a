"""LLM-ESR: two views that read each other causally, and lessons from similar users that flow one way."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helper.representation import made, vectors

from pte.nn.batch import PackedBatch, pack
from pte.nn.sequence.attention import block_causal
from pte.schema import InputError

HISTORIES = [[1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11, 12], [3, 2, 1, 6]]


def observed(**knobs):
    model = made("llm_esr", **knobs)
    length = np.array([len(h) for h in HISTORIES])
    model.observe(np.concatenate(HISTORIES), np.cumsum(length) - length, length)
    return model


def batch(*members: int) -> PackedBatch:
    length = np.array([len(h) for h in HISTORIES])
    steps = pack(np.concatenate(HISTORIES), np.cumsum(length) - length, length, np.array([members]), row_length=6)
    fields = (steps.item, steps.position, steps.segment, steps.target)
    return PackedBatch(
        *map(torch.from_numpy, fields), total=1.0, sequence=torch.from_numpy(steps.sequence), sequences=len(members)
    )


def test_table_is_both_views_side_by_side():
    model, text = made("llm_esr"), vectors()[1:].double().numpy()
    u, _, _ = np.linalg.svd(np.cov(text, rowvar=False))
    components = (text - text.mean(axis=0)) @ u[:, :4]
    found = model.table()[1:].detach().double().numpy()
    np.testing.assert_allclose(np.abs(found[:, :4]), np.abs(components), atol=1e-6)
    (w1, b1), (w2, b2) = ((layer.weight.detach(), layer.bias.detach()) for layer in model.adapt)
    assert w1.shape == (5, 10)
    np.testing.assert_allclose(found[:, 4:], (vectors()[1:] @ w1.T + b1) @ w2.T + b2, atol=1e-6)


def test_each_view_becomes_what_it_reads_in_the_other():
    """Attention with one head by loops: queries of one view, keys and values of the other, earlier places only."""
    model = made("llm_esr", heads=1)
    x = torch.randn(2, 1, 3, 4)
    mixed = model.mix(x, None).detach()
    for view, (attention, asks, reads) in enumerate(
        [(model.asks_semantic, x[1, 0], x[0, 0]), (model.asks_collaborative, x[0, 0], x[1, 0])]
    ):
        q = asks @ attention.query.weight.T
        k, v = (reads @ attention.key_value.weight.T).split(4, dim=1)
        for place in range(3):
            weight = torch.softmax(torch.stack([q[place] @ k[j] for j in range(place + 1)]) / math.sqrt(4), dim=0)
            read = sum(w * v[j] for j, w in enumerate(weight))
            expected = attention.out(read)
            assert torch.allclose(mixed[view, 0, place], expected, atol=1e-6)


def test_views_do_not_see_the_future_nor_another_history():
    model, x = made("llm_esr"), torch.randn(2, 1, 6, 4)
    mask = block_causal(torch.tensor([[1, 1, 1, 2, 2, 0]]))
    before = model.mix(x, mask)
    x = x.clone()
    x[:, :, 2] += torch.randn(4)
    moved = (model.mix(x, mask) - before).abs().amax(dim=(0, 1, 3))
    assert moved[[0, 1, 3, 4]].max() == 0
    assert moved[2] > 1e-4


def test_without_cross_attention_views_stay_apart():
    model, x = made("llm_esr", cross_attention=False), torch.randn(2, 1, 3, 4)
    assert torch.equal(model.mix(x, None), x)


def test_with_a_residual_each_view_keeps_itself():
    torch.manual_seed(0)
    replaced = made("llm_esr")
    residual = made("llm_esr", cross_attention="residual")
    residual.load_state_dict(replaced.state_dict())
    x = torch.randn(2, 1, 3, 4)
    assert torch.allclose(residual.mix(x, None), x + replaced.mix(x, None))
    with pytest.raises(InputError, match="it is true, false or residual"):
        made("llm_esr", cross_attention="half")


def test_similar_users_by_the_texts_of_their_training_items():
    model, text = observed(), vectors().numpy()
    user = np.stack([text[h].mean(axis=0) for h in HISTORIES])
    user /= np.linalg.norm(user, axis=1, keepdims=True)
    cosine = user @ user.T
    np.fill_diagonal(cosine, -2)
    assert model.similar.numpy().tolist() == np.argsort(-cosine, axis=1)[:, :2].tolist()


def test_distillation_is_the_squared_distance_to_the_mean_of_similar_users():
    model = observed(alpha=0.1)
    packed, teachers = batch(0, 2), torch.randn(4, 8)
    state = torch.randn(*packed.item.shape, 8, requires_grad=True)
    known = {tuple(h[:-1]): teachers[s] for s, h in enumerate(HISTORIES)}

    def last(item, length):
        return torch.stack([known[tuple(i[:n].tolist())] for i, n in zip(item, length.tolist(), strict=True)])

    ends = {int(packed.sequence[r, c]) - 1: (r, c) for r, c in packed.last_places().nonzero().tolist()}
    assert set(ends) == {0, 2}
    expected = 0.0
    for s, (r, c) in ends.items():
        mean = teachers[model.similar[s]].mean(dim=0)
        expected += 0.1 * (state[r, c] - mean).square().mean().item() / 2
    loss = model.sequence_auxiliary(packed, state, last)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    touched = {tuple(place) for place in state.grad.abs().sum(dim=-1).nonzero().tolist()}
    assert touched == set(ends.values()), "a lesson reaches the user's last state and nothing else"


def test_shares_of_two_processes_add_up():
    """One of three histories here, two there, each divided by half of three: the average is the loss of all three."""
    model, weight = observed(), torch.randn(13, 8)

    def loss(*members: int, sequences: float) -> float:
        packed = replace(batch(*members), sequences=sequences)
        return model.sequence_auxiliary(packed, weight[packed.item], encode).item()

    def encode(item, length):
        return weight[item[torch.arange(len(item)), length - 1]]

    shares = [loss(0, sequences=1.5), loss(2, 3, sequences=1.5)]
    assert sum(shares) / 2 == pytest.approx(loss(0, 2, 3, sequences=3.0), rel=1e-6)


def test_windows_of_a_history_have_its_teachers_and_are_nobodys_neighbours():
    whole, model = observed(), observed()
    length = np.array([len(h) for h in HISTORIES])
    begin, item = np.cumsum(length) - length, np.concatenate(HISTORIES)
    model.observe(item, begin, length, np.array([0, 0, 1, 2, 3]))  # the first history trains as two windows
    assert torch.equal(model.similar, whole.similar)
    state = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    of_whole, of_window = batch(1), batch(1)
    of_window.sequence[of_window.sequence > 0] = 3  # the third window is the second history
    model.train(), whole.train()
    last = lambda item, size: model.table()[item[torch.arange(len(item)), size - 1]]  # noqa: E731
    own = model.sequence_auxiliary(of_window, state, last)
    assert torch.equal(own, whole.sequence_auxiliary(of_whole, state, last))


def test_teachers_get_no_gradient():
    model = observed()
    packed = batch(0, 1, 2, 3)
    weight = torch.ones((), requires_grad=True)
    state = torch.randn(*packed.item.shape, 8, requires_grad=True)
    model.sequence_auxiliary(packed, state, lambda item, length: weight * torch.randn(len(item), 8)).backward()
    assert weight.grad is None


def test_teachers_read_training_inputs_the_newest_that_fit():
    model, seen = observed(neighbors=3), {}

    def last(item, length):
        seen.update({tuple(i[:n].tolist()): n for i, n in zip(item, length.tolist(), strict=True)})
        return torch.zeros(len(item), 8)

    packed = batch(0)
    model.sequence_auxiliary(packed, torch.zeros(*packed.item.shape, 8), last)
    assert set(seen) == {(5, 6), (8, 9, 10, 11), (3, 2, 1)}
    item, length = model._inputs(torch.tensor([2, 1]), 2)
    assert item.tolist() == [[10, 11], [5, 6]]
    assert length.tolist() == [2, 2]


def test_it_says_when_training_has_not_shown_it_the_histories():
    with pytest.raises(InputError, match="observe"):
        made("llm_esr").sequence_auxiliary(batch(0), torch.zeros(1, 6, 8), None)
    assert made("llm_esr", alpha=0.0).sequence_auxiliary(batch(0), torch.zeros(1, 6, 8), None) is None


@pytest.mark.parametrize("wrong", [{"width": 7}, {"width": 22}])
def test_wrong_widths_are_refused(wrong):
    with pytest.raises(InputError):
        made("llm_esr", **wrong)
