"""What every representation promises: padding stays zero, items are interchangeable, text matters where it is read."""

import numpy as np
import pytest
import torch
from helper.dreamrec import make as dreamrec
from helper.representation import NUM_ITEMS, SMALL, TEXT, made, rename, vectors

from pte.backbone.sasrec import SASRec
from pte.backbone.sequence import history as reading
from pte.nn.batch import History, PackedBatch, pack
from pte.schema import InputError

NAMES = sorted(SMALL)
HISTORIES = [[1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11, 12], [3, 2, 1, 6]]
FREE = {"id": 8, "llm_init": 8, "rlmrec_con": 8, "rlmrec_gen": 8, "alphafuse": 3, "llm_esr": 4, "concat": 3}


def arrays():
    """The histories as one array of items, with begin and length."""
    length = np.array([len(h) for h in HISTORIES])
    return np.concatenate(HISTORIES), np.cumsum(length) - length, length


def batch() -> PackedBatch:
    steps = pack(*arrays(), np.arange(len(HISTORIES))[None], row_length=6)
    fields = (steps.item, steps.position, steps.segment, steps.target)
    return PackedBatch(
        *map(torch.from_numpy, fields), total=12.0, sequence=torch.from_numpy(steps.sequence), sequences=4.0
    )


def whole_loss(model, packed: PackedBatch) -> torch.Tensor:
    """Every loss a representation can have, over a table whose every entry counts, and its own."""
    table = model.table()
    draw = torch.Generator().manual_seed(3)
    state = torch.nn.functional.embedding(packed.item, model.inputs(table), padding_idx=0).cumsum(dim=1)

    def last(item, length):
        return torch.nn.functional.embedding(item, table).sum(dim=1)

    extra = model.sequence_auxiliary(packed, state, last)
    loss = (table * torch.randn(table.shape, generator=draw))[1:].sum() + state.square().mean() + model.auxiliary()
    return loss if extra is None else loss + extra


def permuted(model, order: torch.Tensor):
    """The same model after items were renamed."""
    text = vectors()
    renamed = made(model.name, torch.cat([text[:1], text[order]])) if model.uses_text else made(model.name)
    rename(model, renamed, order)
    return renamed


@pytest.fixture(params=NAMES)
def model(request):
    built = made(request.param)
    built.name = request.param
    built.observe(*arrays())
    return built


def test_table_has_its_shape_and_a_row_of_zeros(model):
    table = model.table()
    assert table.shape == (NUM_ITEMS + 1, model.width)
    assert table.dtype == torch.float32
    assert table.isfinite().all()
    assert not table[0].any()
    assert table[1:].abs().sum(dim=1).min() > 0


def test_padding_stays_zero_through_training(model):
    step = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    before = model.table().detach().clone()
    for _ in range(3):
        step.zero_grad()
        loss = whole_loss(model, batch())
        if model.name not in ("id", "concat"):  # theirs is a row that no loss sends a gradient to
            loss = loss + 5 * model.table()[0].sum()
        loss.backward()
        step.step()
    assert not model.table()[0].any()
    assert not torch.allclose(model.table(), before, atol=1e-3)


def test_losses_are_finite_scalars_in_float32(model):
    packed = batch()
    state = torch.nn.functional.embedding(packed.item, model.inputs(model.table()))
    extra = model.sequence_auxiliary(packed, state, lambda item, length: torch.randn(len(item), model.width))
    for loss in (model.auxiliary(), extra):
        assert loss is None or (loss.shape == () and loss.isfinite() and loss.dtype == torch.float32)


def test_evaluation_adds_no_loss_on_states_and_hides_nothing(model):
    model.eval()
    table = model.table()
    assert torch.equal(model.inputs(table), table)
    assert torch.equal(model.table(), table), "nothing is drawn in evaluation"
    state = torch.zeros(*batch().item.shape, model.width)
    assert model.sequence_auxiliary(batch(), state, lambda item, length: torch.zeros(1)) is None


def test_every_parameter_learns_and_nothing_else(model):
    whole_loss(model, batch()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("asks_"):  # read by the encoder alone
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name == "noise" or (name == "bias" and model.name == "unisrec"):
            continue
        assert parameter.grad.abs().sum() > 0, name
    assert not any(buffer.requires_grad for buffer in model.buffers())


def test_free_parameters_per_item_are_counted(model):
    assert model.free_per_item == FREE.get(model.name, 0)
    own = [p for p in model.parameters() if p.shape[:1] in ((NUM_ITEMS,), (NUM_ITEMS + 1,))]
    assert sum(p[0].numel() for p in own) == model.free_per_item


def test_renaming_items_renames_rows(model):
    order = torch.randperm(NUM_ITEMS, generator=torch.Generator().manual_seed(5)) + 1
    model.eval()
    renamed = permuted(model, order).eval()
    assert torch.allclose(renamed.table()[1:], model.table()[order], atol=2e-5)


@pytest.mark.parametrize("name", TEXT)
def test_other_texts_give_another_model(name):
    """Through the table, or, where text acts by a loss alone, through that loss."""
    text = vectors()
    shuffled = torch.cat([text[:1], text[1:].flip(0)])
    one, other = made(name).eval(), made(name, shuffled).eval()
    if name == "rlmrec_gen":
        one, other = made(name, form="cosine"), made(name, shuffled, form="cosine")
    if name.startswith("rlmrec"):
        assert torch.equal(one.table(), other.table())
        assert (one.auxiliary() - other.auxiliary()).abs() > 1e-5
    else:
        assert (one.table() - other.table()).abs().max() > 1e-3


@pytest.mark.parametrize("name", TEXT)
def test_missing_or_misshapen_vectors_are_refused(name):
    for text in (None, vectors()[:-1]):
        with pytest.raises(InputError, match="item vectors"):
            made(name, text)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_leaves_the_table_usable(name):
    model = made(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        table = model.table()
        loss = model.auxiliary()
    assert table.float().isfinite().all()
    assert not table[0].any()
    assert loss.isfinite()


BACKBONE = {"length": 6, "inner": 16, "layers": 1, "heads": 2, "dropout": 0.1, "attention_dropout": 0.1}


def backbone(kind: str, model):
    if kind == "sasrec":
        return SASRec(representation=model, num_items=NUM_ITEMS, **BACKBONE)
    knobs = {"length": BACKBONE["length"], "dropout": BACKBONE["dropout"], "steps": 20}
    return dreamrec(model, num_items=NUM_ITEMS, target_gradient=False, sphere=True, **knobs)


@pytest.mark.parametrize("kind", ["sasrec", "dreamrec"])
def test_both_backbones_learn_and_score_with_it(kind, model):
    whole = backbone(kind, model)
    step = torch.optim.Adam(whole.parameters(), lr=0.01)
    for _ in range(2):
        step.zero_grad()
        loss = whole.loss(batch())["loss"]
        assert loss.shape == ()
        assert loss.isfinite()
        loss.backward()
        step.step()
    if kind == "sasrec":
        without = [name for name, p in whole.named_parameters() if p.grad is None]
        assert not without, "several processes rely on a gradient for every weight in every step"
    assert not model.table()[0].any()
    history = History(torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([3, 2]))
    draw = torch.Generator().manual_seed(0)
    scores = whole.eval().score(history, noise=draw)
    assert scores.shape == (2, NUM_ITEMS)
    assert scores.isfinite().all()
    longer = History(torch.tensor([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]]), history.length)
    again = whole.score(longer, noise=draw.manual_seed(0))
    assert torch.allclose(again, scores, atol=1e-4), "longer padding changes no score"


def test_a_future_item_changes_no_past_state(model):
    """Through inputs, views and mix as through plain attention."""
    whole = backbone("sasrec", model).eval()
    one, other = batch(), batch()
    row, place = 0, int(one.last_places()[0].nonzero()[0, 0])
    other.item[row, place] = one.item[row, place] % NUM_ITEMS + 1
    table = model.table()
    before, after = (reading.states(whole.encoder, model, table, b) for b in (one, other))
    moved = (before - after).abs().amax(dim=-1)
    assert moved[row, place] > 1e-6
    moved[row, place] = 0
    assert moved.max() == 0, "neither earlier places nor the other histories of the row"
