"""The speed experiment's yardsticks: its count of operations by hand, its plain models against pte's."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helper.dreamrec import make as dreamrec

from pte.backbone.sasrec import SASRec
from pte.nn.batch import History, PackedBatch, pack
from pte.representation.id import Id

sys.path.append(str(Path(__file__).parent.parent / "experiments" / "speed"))
import arithmetic
import gpu
import gpu_step
import plain

ITEM = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5], np.int64)  # three histories: 4, 3 and 2 items
BEGIN, LENGTH = np.array([0, 4, 7]), np.array([4, 3, 2])
SIZES = {"num_items": 9, "length": 5}


def step():
    steps = pack(ITEM, BEGIN, LENGTH, np.array([[0, 1, 2]]), row_length=5)
    fields = (steps.item, steps.position, steps.segment, steps.target)
    return PackedBatch(*map(torch.from_numpy, fields), total=6.0)


def with_weights_of(ours, model):
    """The plain model with our weights: one projection of Q, K and V side by side becomes three."""
    encoder = ours.encoder
    model.encoder.item.weight.data = ours.representation.weight.data.clone()
    model.encoder.position.load_state_dict(encoder.position.state_dict())
    model.encoder.norm.load_state_dict(encoder.norm.state_dict())
    for mine, block in zip(model.encoder.layers, encoder.blocks, strict=True):
        qkv, parts = block.attention.qkv, (mine.query, mine.key, mine.value)
        for part, weight, bias in zip(parts, qkv.weight.chunk(3), qkv.bias.chunk(3), strict=True):
            part.load_state_dict({"weight": weight, "bias": bias})
        mine.out.load_state_dict(block.attention.out.state_dict())
        for name in ("widen", "narrow", "norm_attention", "norm_feed"):
            getattr(mine, name).load_state_dict(getattr(block, name).state_dict())
    return model


def sasrec():
    torch.manual_seed(0)
    knobs = {"inner": 16, "layers": 2, "heads": 2}
    ours = SASRec(
        representation=Id(num_items=9, width=8, std=0.5), **SIZES, **knobs, dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return ours, with_weights_of(ours, plain.SASRec(**SIZES, width=8, **knobs, drop=0.0))


def test_operations_of_a_packed_step_by_hand():
    # Histories of 3, 2 and 1 places: 6 places, 6 + 3 + 1 = 10 pairs, 6 targets. D 2, I 4, 2 layers, N 5:
    # a layer 6 (8 2^2 + 4 2 4) + 4 2 10 = 464; scores 6 2 2 5 = 120; three times 2 464 + 120.
    batch = step()
    counted = arithmetic.training(batch.segment, batch.position, 6, width=2, inner=4, layers=2, num_items=5)
    assert counted == 3 * (2 * 464 + 120)


@pytest.mark.parametrize("every_place", [True, False])
def test_plain_sasrec_has_our_loss_gradients_and_scores(every_place):
    ours, theirs = sasrec()
    rows = plain.samples(ITEM, BEGIN, LENGTH, 5, every_place)
    one, other = ours.loss(step())["loss"], theirs.loss(rows.item, rows.length, rows.target)
    assert one.item() == pytest.approx(other.item(), abs=1e-6)
    one.backward()
    other.backward()
    torch.testing.assert_close(ours.representation.weight.grad, theirs.encoder.item.weight.grad, atol=1e-6, rtol=1e-5)
    history = History(torch.tensor([[3, 1, 4, 0, 0], [5, 0, 0, 0, 0]]), torch.tensor([3, 1]))
    score = theirs.eval().score(history.item, history.length)
    torch.testing.assert_close(ours.eval().score(history), score, atol=1e-6, rtol=1e-5)


def test_the_published_loop_without_noise_is_the_fold():
    torch.manual_seed(0)
    table = Id(num_items=9, width=8, std=1.0)
    ours = dreamrec(table, **SIZES, heads=1, schedule="linear", steps=500).eval()
    theirs = plain.DreamRec(**SIZES, width=8, inner=16)
    theirs.time.load_state_dict(ours.denoiser.time.state_dict())
    theirs.denoise.load_state_dict(ours.denoiser.first.state_dict())
    theirs.null.data = ours.null.data
    c = torch.randn(4, 8)
    with torch.no_grad():
        folded = ours.folded()((3 * c - 2 * ours.null) @ ours.denoiser.split()[1].T, torch.zeros(4, 8))
    torch.testing.assert_close(folded, theirs.imagine(c, noise=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "way", [name for name in gpu.ways() if name != "kernel=liger"]
)  # which tests/nn/kernel/test_liger has
def test_every_way_timed_on_a_gpu_has_the_plain_loss_and_gradients(way):
    given = gpu.problem(30, 200, 8, device="cpu")
    theirs, reference = (gpu.ways()[name](*given, torch.float32) for name in (way, "F.cross_entropy"))
    torch.testing.assert_close(theirs, reference)
    for one, other in zip(*(torch.autograd.grad(loss, given[:2]) for loss in (theirs, reference)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it measures where there is a CUDA device")
@pytest.mark.parametrize("script", [gpu, gpu_step])
def test_timing_without_a_gpu_ends_in_one_line(monkeypatch, script):
    given = ["--interactions", "x"] if script is gpu_step else []
    monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *given])
    with pytest.raises(SystemExit, match=f"{script.__name__}.py measures on a CUDA GPU, and torch finds none here"):
        script.main()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("shape", "targets"), [("SASRec, d 64, 256 histories", 256), ("DreamRec, d 64, 128 histories", 128)]
)
def test_a_step_timed_on_a_gpu_is_the_shipped_one(shape, targets):
    if "PTE_DATA" not in os.environ:
        pytest.skip("PTE_DATA is not set: no Toys table")
    toys = Path(os.environ["PTE_DATA"]) / "Toys" / "interactions.csv.gz"
    trained = {way: gpu_step.prepare(toys, shape, gpu_step.WAYS[way], "cpu")(1) for way in ("as shipped", "bf16-mixed")}
    assert len(set(trained.values())) == 1
    assert targets < trained["as shipped"] < 20 * targets
