"""BSARec and GRU4Rec: one training loss over two more encoders; the filter is the published one made causal."""

import pytest
import torch
from torch.nn import functional as F

from pte.backbone.bsarec import BSARec
from pte.backbone.gru4rec import GRU4Rec
from pte.nn.batch import History, PackedBatch, pack
from pte.nn.sequence.frequency import CausalRescaler
from pte.representation.id import Id
from pte.schema import InputError

ITEMS, LENGTH = 30, 8
KNOBS = {
    BSARec: {"inner": 32, "layers": 2, "heads": 2, "attention_dropout": 0.0, "alpha": 0.7, "c": 5},
    GRU4Rec: {"hidden": 20, "layers": 2},
}
BOTH = pytest.mark.parametrize("kind", list(KNOBS))
HISTORIES = ([1, 2, 3, 4, 5], [6, 7, 8], [9, 10], [11, 12, 13, 14])


def make(kind, **change):
    torch.manual_seed(0)
    knobs = {"length": LENGTH, "dropout": 0.0, **KNOBS[kind], **change}
    return kind(representation=Id(num_items=ITEMS, width=16, std=0.5), num_items=ITEMS, **knobs)


def packed(*histories, total=None):
    item = torch.tensor([i for h in histories for i in h]).numpy()
    length = torch.tensor([len(h) for h in histories])
    begin = (length.cumsum(0) - length).numpy()
    member = torch.arange(len(histories))[None].numpy()
    steps = pack(item, begin, length.numpy(), member, row_length=LENGTH)
    fields = (torch.from_numpy(a) for a in (steps.item, steps.position, steps.segment, steps.target))
    return PackedBatch(*fields, total=total or float(length.sum() - len(histories)))


def history_of(*histories, width=0):
    length = torch.tensor([len(h) for h in histories])
    width = max(width, int(length.max()))
    return History(torch.tensor([[*h, *[0] * (width - len(h))] for h in histories]), length)


@BOTH
def test_the_loss_is_the_mean_over_all_places_of_what_scores_say(kind):
    """`score` is given the prefix alone, so equality also says that no place's loss reads its own target."""
    model, losses = make(kind).eval(), []
    for history in HISTORIES:
        for end in range(1, len(history)):
            losses.append(F.cross_entropy(model.score(history_of(history[:end])), torch.tensor([history[end] - 1])))
    torch.testing.assert_close(model.loss(packed(*HISTORIES))["loss"], torch.stack(losses).mean())


@BOTH
def test_a_future_item_changes_no_past_loss(kind):
    model, losses = make(kind), []
    for history in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 20, 21, 22]):
        batch = packed(history)
        batch.target[:, 2:] = 0
        losses.append(model.loss(batch)["loss"].item())
    assert losses[0] == losses[1]


@BOTH
def test_no_state_has_a_gradient_from_a_later_item(kind):
    model = make(kind).eval()
    x = torch.randn(1, 6, 16, requires_grad=True)
    (model.encoder(x, torch.arange(6))[0, 2] * torch.randn(16)).sum().backward()  # a plain sum is normalised away
    assert x.grad[0, 3:].abs().max() == 0
    assert x.grad[0, :3].abs().amax(dim=1).min() > 0


@BOTH
def test_packing_changes_no_gradient(kind):
    together, apart = make(kind), make(kind)
    together.loss(packed(*HISTORIES))["loss"].backward()
    for history in HISTORIES:
        apart.loss(packed(history, total=10.0))["loss"].backward()
    for (name, a), b in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7, msg=name)


@BOTH
def test_longer_padding_and_other_histories_change_no_score(kind):
    model = make(kind).eval()
    alone, padded = model.score(history_of([1, 2])), model.score(history_of([1, 2], [3, 4, 5, 6, 7], width=LENGTH))[:1]
    assert alone.shape == (1, ITEMS)
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-6)


@BOTH
def test_a_batch_of_padding_has_a_zero_loss(kind):
    zero = torch.zeros(1, LENGTH, dtype=torch.int64)
    model = make(kind)
    loss = model.loss(PackedBatch(zero, zero, zero, zero, total=7.0))["loss"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


@BOTH
def test_it_learns_a_cycle(kind):
    model = make(kind, dropout=0.1)
    cycle = packed(*([(start + step) % 10 + 1 for step in range(6)] for start in range(10)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(cycle)["loss"].backward()
        optimizer.step()
    assert model.eval().score(history_of([4, 5, 6], [9, 10, 1])).argmax(dim=1).tolist() == [6, 1]


def published(x, sqrt_beta, c):
    """The published filter over the whole of x (B, L, D)."""
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    keep = (torch.arange(spectrum.shape[1]) < c // 2 + 1)[:, None]
    low = torch.fft.irfft(spectrum * keep, n=x.shape[1], dim=1, norm="ortho")
    return low + sqrt_beta**2 * (x - low)


@pytest.mark.parametrize("window", [7, 8])
@pytest.mark.parametrize("c", [1, 4, 5, 99])
def test_every_place_has_the_published_value_of_its_own_prefix(c, window):
    """Left-padded with zeros to the window, the prefix's last place: values and gradients."""
    torch.manual_seed(0)
    rescale, x = CausalRescaler(width=3, window=window, c=c), torch.randn(2, window, 3, requires_grad=True)
    found = rescale(x, None)
    prefixes = [F.pad(x[:, : t + 1], (0, 0, window - 1 - t, 0)) for t in range(window)]
    expected = torch.stack([published(p, rescale.sqrt_beta, c)[:, -1] for p in prefixes], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weight, inputs = torch.randn_like(found), (x, rescale.sqrt_beta)
    gradients = [torch.autograd.grad((y * weight).sum(), inputs) for y in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    length = torch.tensor([3, window])
    last = rescale.last(x, length)
    torch.testing.assert_close(last, found[torch.arange(2), length - 1])


def test_alpha_zero_is_attention_alone_and_one_is_the_filter_alone():
    for alpha, unused in ((0.0, "rescale"), (1.0, "attention.")):
        model = make(BSARec, alpha=alpha)
        model.loss(packed(*HISTORIES))["loss"].backward()
        idle = [p for name, p in model.encoder.named_parameters() if unused in name]
        assert idle
        assert not any(p.grad.any() for p in idle)


@pytest.mark.parametrize("change", [{"alpha": 1.2}, {"alpha": -0.1}, {"c": 0}])
def test_a_filter_that_cannot_be_is_refused(change):
    with pytest.raises(InputError, match=rf"backbone\.{next(iter(change))}="):
        make(BSARec, **change)
