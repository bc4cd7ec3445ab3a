"""SASRec: the loss is plain cross-entropy, nobody sees the future, scores are those of training."""

import pytest
import torch
from helper.sasrec import ITEMS, make
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from pte.backbone.sasrec import SASRec
from pte.nn.batch import History, PackedBatch
from pte.nn.kernel.lazy_adam import LazyAdam
from pte.nn.loss.bce import BinaryCrossEntropy
from pte.nn.loss.cross_entropy import CrossEntropy
from pte.nn.loss.gbce import GBCE
from pte.nn.loss.infonce import InfoNCE
from pte.nn.loss.sampled_softmax import SampledSoftmax
from pte.nn.sequence.attention import block_causal
from pte.representation.id import Id
from pte.schema import InputError


def packed(*histories, total=None):
    """One row per pair of histories, each history's last item being its last target."""
    rows = [histories[i : i + 2] for i in range(0, len(histories), 2)]
    width = max(sum(len(h) - 1 for h in row) for row in rows) + 1
    item, position, segment, target = torch.zeros(4, len(rows), width, dtype=torch.int64)
    for r, row in enumerate(rows):
        at = 0
        for number, history in enumerate(row, 1):
            n = len(history) - 1
            item[r, at : at + n], target[r, at : at + n] = torch.tensor(history[:-1]), torch.tensor(history[1:])
            position[r, at : at + n], segment[r, at : at + n] = torch.arange(n), number
            at += n
    return PackedBatch(item, position, segment, target, total=total or float((target > 0).sum()))


SAMPLED = (SampledSoftmax(5), BinaryCrossEntropy(5), GBCE(5), InfoNCE(5))
HISTORIES = ([1, 2, 3, 4, 5], [6, 7, 8], [9, 10], [11, 12, 13, 14])


def test_the_loss_is_the_mean_over_all_positions_of_plain_cross_entropy():
    model, losses = make(), []
    for history in HISTORIES:
        for end in range(1, len(history)):
            case = History(torch.tensor([history[:end]]), torch.tensor([end]))
            losses.append(F.cross_entropy(model.eval().score(case), torch.tensor([history[end] - 1])))
    found = model.train().loss(packed(*HISTORIES))["loss"]
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-5, atol=1e-6)


def test_packing_changes_no_gradient():
    together, apart = make(), make()
    together.loss(packed(*HISTORIES))["loss"].backward()
    for history in HISTORIES:
        apart.loss(packed(history, total=10.0))["loss"].backward()
    for (name, a), b in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7, msg=name)


def test_a_future_item_changes_no_past_loss():
    """Cut after the third target: the loss of the first two is the same whatever comes later."""
    model = make()
    first = packed([1, 2, 3, 4, 5, 6])
    later = packed([1, 2, 3, 20, 21, 22])
    losses = []
    for batch in (first, later):
        batch.target[:, 2:] = 0
        losses.append(model.loss(batch)["loss"])
    assert losses[0].item() == losses[1].item()


def test_every_past_item_changes_the_scores():
    model = make().eval()
    length = torch.tensor([4])
    base = model.score(History(torch.tensor([[1, 2, 3, 4]]), length))
    for place in range(4):
        changed = torch.tensor([[1, 2, 3, 4]])
        changed[0, place] = 25
        assert (model.score(History(changed, length)) - base).abs().max() > 1e-4


def test_scores_leave_padding_out_and_ignore_more_of_it():
    model = make().eval()
    short = model.score(History(torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])))
    long = model.score(History(torch.tensor([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0]]), torch.tensor([2, 1])))
    assert short.shape == (2, ITEMS)
    torch.testing.assert_close(short, long, rtol=1e-5, atol=1e-6)


def test_column_j_is_item_j_plus_one():
    model = make().eval()
    case = History(torch.tensor([[5, 6]]), torch.tensor([2]))
    before = model.score(case)
    with torch.no_grad():
        model.representation.weight[30] *= 2
    assert (model.score(case) - before).abs().gt(1e-6).nonzero()[:, 1].tolist() == [29]


def test_bfloat16_products_train_to_nearly_the_same():
    before, losses = torch.get_float32_matmul_precision(), []
    try:
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            losses.append(make().loss(packed(*HISTORIES))["loss"].item())
    finally:
        torch.set_float32_matmul_precision(before)
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_a_batch_of_padding_has_a_zero_loss_and_zero_gradients():
    model = make()
    zero = torch.zeros(1, 8, dtype=torch.int64)
    loss = model.loss(PackedBatch(zero, zero, zero, zero, total=7.0))["loss"]
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in model.parameters())


def test_it_learns_a_cycle():
    model = make(dropout=0.1)
    cycle = [[(start + step) % 10 + 1 for step in range(6)] for start in range(10)]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(packed(*cycle))["loss"].backward()
        optimizer.step()
    scores = model.eval().score(History(torch.tensor([[4, 5, 6], [9, 10, 1]]), torch.tensor([3, 3])))
    assert scores.argmax(dim=1).tolist() == [6, 1]  # items 7 and 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_loss_on_a_gpu_also_under_autocast():
    expected = make().loss(packed(*HISTORIES))["loss"].item()
    model, batch = make().cuda(), packed(*HISTORIES).to(torch.device("cuda"))
    assert model.loss(batch)["loss"].item() == pytest.approx(expected, rel=1e-4)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model.loss(batch)["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("loss", [CrossEntropy(), *SAMPLED])
def test_every_loss_reaches_every_weight_and_a_step_without_targets_moves_none(loss):
    model = make(loss=loss)
    model.loss(packed(*HISTORIES))["loss"].backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    model.zero_grad()
    nothing = torch.zeros(1, 4, dtype=torch.int64)
    empty = model.loss(PackedBatch(nothing, nothing, nothing, nothing, total=5.0))["loss"]
    empty.backward()
    assert empty == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


def test_scores_follow_the_loss():
    case = History(torch.tensor([[1, 2, 3]]), torch.tensor([3]))
    inner, cosine = make().eval().score(case), make(loss=InfoNCE()).eval().score(case)
    norm = make().representation.table()[1:].norm(dim=1)
    torch.testing.assert_close(inner / norm / (inner / norm).norm(), cosine / cosine.norm())
    assert cosine.abs().max() <= 1 + 1e-6


def test_negatives_are_drawn_outside_the_history():
    """A history of all items leaves none to draw: only the targets' own terms are left, softplus(-s) / 2."""
    model = make(length=ITEMS, loss=BinaryCrossEntropy()).eval()
    batch = packed((torch.arange(ITEMS) + 1).tolist())
    table = model.representation.table()
    hidden = model.encoder(table[batch.item], batch.position, block_causal(batch.segment))[batch.target > 0]
    own = F.softplus(-(hidden * table[batch.target[batch.target > 0]]).sum(1)) / 2
    torch.testing.assert_close(model.loss(batch)["loss"], own.mean())
    free = make(length=ITEMS, loss=BinaryCrossEntropy(exclude_history=False)).eval()
    assert free.loss(batch)["loss"] > own.mean() + 0.05


def twins(loss):
    """The same model with dense and with sparse gradients of its table."""
    both = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table = Id(num_items=ITEMS, width=16, std=0.5, sparse=sparse)
        knobs = {"inner": 32, "layers": 1, "heads": 2, "length": 8, "dropout": 0.1, "attention_dropout": 0.1}
        both.append(SASRec(representation=table, num_items=ITEMS, loss=loss, **knobs))
    return both


@pytest.mark.parametrize("loss", SAMPLED)
def test_a_sparse_gradient_is_the_dense_one_on_the_rows_read(loss):
    gradients = []
    for model in twins(loss):
        torch.manual_seed(1)
        model.loss(packed(*HISTORIES))["loss"].backward()
        gradients.append([p.grad for p in model.parameters()])
    dense, sparse = (g.pop(0) for g in gradients)
    assert not dense.is_sparse
    assert sparse.is_sparse
    read = sparse.coalesce().indices()[0]
    unread = torch.ones(ITEMS + 1, dtype=torch.bool)
    unread[read] = False
    assert 0 not in read
    assert unread[1:].any()
    assert dense[unread].abs().max() == 0
    torch.testing.assert_close(sparse.to_dense(), dense, rtol=1e-5, atol=1e-7)
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("loss", SAMPLED)
def test_sgd_moves_a_sparse_table_as_a_dense_one(loss):
    tables = []
    for model in twins(loss):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for step in range(5):
            torch.manual_seed(step)
            optimizer.zero_grad()
            model.loss(packed(*HISTORIES))["loss"].backward()
            optimizer.step()
        tables.append(model.representation.weight)
    torch.testing.assert_close(*tables, rtol=1e-4, atol=1e-6)


def test_full_cross_entropy_refuses_a_sparse_table():
    with pytest.raises(InputError, match=r"backbone/loss=sampled_softmax"):
        twins(CrossEntropy())


def test_a_sparse_step_makes_nothing_as_long_as_the_catalogue():
    """Every tensor that a step makes is counted, forwards and backwards."""
    items = 100_000

    class Longest(TorchDispatchMode):
        longest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for made in out if isinstance(out, tuple | list) else [out]:
                if isinstance(made, torch.Tensor) and not made.is_sparse and made.data_ptr() not in there:
                    self.longest = max(self.longest, made.numel())
            return out

    table = Id(num_items=items, width=8, std=0.1, sparse=True)
    knobs = {"inner": 16, "layers": 1, "heads": 2, "length": 8, "dropout": 0.1, "attention_dropout": 0.1}
    model = SASRec(representation=table, num_items=items, loss=SampledSoftmax(), **knobs)
    optimizer = LazyAdam(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        model.loss(packed(*HISTORIES))["loss"].backward()
        optimizer.step()

    step()  # makes the moments
    state = optimizer.state[table.weight]
    there = {table.weight.data_ptr(), state["exp_avg"].data_ptr(), state["exp_avg_sq"].data_ptr()}
    with Longest() as made:
        step()
    assert 0 < made.longest < items // 4
