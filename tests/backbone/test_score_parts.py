"""A part at a time gives what all at once gives, whatever a part is."""

import numpy as np
import pytest
import torch
from helper.dreamrec import make as dreamrec
from helper.sasrec import make as sasrec
from helper.text_knn import Frozen

from pte.backbone.ease import EASE
from pte.backbone.item_knn import ItemKNN
from pte.backbone.markov import Markov
from pte.backbone.popularity import Popularity
from pte.backbone.text_knn import TextKNN
from pte.nn.batch import History
from pte.nn.contract import Backbone
from pte.nn.kernel import chunked_scoring as part
from pte.nn.loss.infonce import InfoNCE
from pte.nn.noise import CaseNoise, standard_normal

CPU = torch.device("cpu")
ITEMS = 30


@pytest.fixture
def small(monkeypatch):
    """Parts of four histories, and some twelve places encoded at a time."""
    monkeypatch.setattr(part, "_ROWS", 4)
    monkeypatch.setitem(part._SCORES, "cpu", 0)
    monkeypatch.setitem(part._PLACES, "cpu", 12)


def histories(count=11, longest=8):
    """Lengths in no order, so that parts differ in how much padding they have."""
    draw = torch.Generator().manual_seed(0)
    length = torch.randint(1, longest + 1, (count,), generator=draw)
    length[0] = longest
    item = torch.randint(1, ITEMS + 1, (count, longest), generator=draw)
    return History(item * (torch.arange(longest) < length[:, None]), length)


def counted(kind, **knobs):
    model = kind(num_items=ITEMS, **knobs)
    rng = np.random.default_rng(0)
    model.fit(rng.integers(1, ITEMS + 1, 200), np.arange(0, 201, 8))
    return model


def text_knn():
    vectors = torch.randn(ITEMS + 1, 4, generator=torch.Generator().manual_seed(0))
    vectors[0] = 0
    return counted(TextKNN, representation=Frozen(vectors), length=5, recency=0.5, fallback=0.1)


FIVE = {"representation": None, "length": 5, "recency": 0.5, "fallback": 0.1}
BACKBONES = {
    "sasrec": lambda: sasrec(dropout=0.5).eval(),
    "sasrec of cosines": lambda: sasrec(loss=InfoNCE()).eval(),
    "dreamrec": lambda: dreamrec().eval(),
    "dreamrec step by step": lambda: dreamrec(sampler="ddpm").eval(),
    "dreamrec of cosines": lambda: dreamrec(cosine=True).eval(),
    "popularity": lambda: counted(Popularity, representation=None),
    "item_knn": lambda: counted(ItemKNN, **FIVE, shrink=1.0),
    "ease": lambda: counted(EASE, **FIVE, ridge=2.0, max_items=99),
    "markov": lambda: counted(Markov, **FIVE, window=2, distance_power=1.0, backward=0.5, shrink=1.0),
    "text_knn": text_knn,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_parts_are_the_rows_of_the_whole(name, small, monkeypatch):
    """To rounding: a product of another shape may add up in another order. Draws are those of the whole."""
    model, history = BACKBONES[name](), histories()
    parts = [p.clone() for p in model.score_parts(history, noise=torch.Generator().manual_seed(3))]
    assert [p.shape for p in parts] == [(4, ITEMS), (4, ITEMS), (3, ITEMS)]
    assert not any(p.requires_grad for p in parts)
    monkeypatch.undo()
    whole = model.score(history, noise=torch.Generator().manual_seed(3))
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)


def test_a_backbone_of_two_verbs_has_the_others_answered():
    class Least(Backbone):
        num_items = 3

        def score(self, history, *, noise=None):
            return standard_normal((len(history.item), 3), noise, torch.device("cpu"))

    least = Least()
    (only,) = least.score_parts(histories(), noise=torch.Generator().manual_seed(3))
    assert torch.equal(only, torch.randn(11, 3, generator=torch.Generator().manual_seed(3)))
    assert least.trained
    assert not least.uses_text
    assert not least.stacked
    least.attach(None, None)
    for verb, given in ((least.fit, (None, None)), (least.loss, (None,))):
        with pytest.raises(NotImplementedError, match="Least"):
            verb(*given)


def test_a_part_takes_its_own_rows_of_the_noise(monkeypatch):
    class Noisy(Backbone):
        num_items = 3

        def score(self, history, *, noise):
            return standard_normal((len(history.item), 3), noise, torch.device("cpu"))

    (whole,) = Noisy().score_parts(histories(), noise=CaseNoise(5, range(11)))
    monkeypatch.setattr(part, "_ROWS", 4)
    monkeypatch.setitem(part._SCORES, "cpu", 1)
    parts = list(Noisy().score_parts(histories(), noise=CaseNoise(5, range(11))))
    assert len(parts) == 3
    assert torch.equal(torch.cat(parts), whole)


def test_encoding_pads_a_part_to_its_own_longest(small):
    shapes = []

    def encode(item, length):
        shapes.append(tuple(item.shape))
        assert item.shape[1] == length.max()
        return item.sum(dim=1, keepdim=True)

    history = History(torch.tensor([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0], [4, 5, 6, 7, 8]]), torch.tensor([2, 1, 5]))
    assert part.encoded(encode, history).squeeze(1).tolist() == [3, 3, 30]
    assert shapes == [(2, 2), (1, 5)]


def test_a_history_longer_than_a_part_is_encoded_alone(small):
    history = histories(count=3, longest=20)
    found = part.encoded(lambda item, length: item.sum(dim=1, keepdim=True), history)
    assert torch.equal(found, history.item.sum(dim=1, keepdim=True))


def test_how_many_rows():
    assert part.rows_a_part(12_000, CPU) == 64
    assert part.rows_a_part(10**7, CPU) == 64  # the loader's own bound comes first
    assert part.rows_a_part(1000, CPU) % 16 == 0
    assert part.rows_a_part(1000, CPU) * 1000 <= 3 * 2**18
    assert part.rows_a_part(12_000, torch.device("cuda")) > 1024
