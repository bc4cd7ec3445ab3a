"""Two encoders side by side: cosines, the store of the dense part's vectors, axes that refit shares."""

import numpy as np
import pytest

from pte.encoder.base import CorpusEncoder
from pte.encoder.hybrid import Hybrid
from pte.encoder.source import Concatenation, Direct, Encoding, encoding
from pte.encoder.tfidf import Tfidf
from pte.schema import InputError
from pte.schema.context import Context

CORPUS = ["red train", "blue train", "blue boat", "green boat sails", "red boat", "a doll"]


class Letters:
    """A stand-in for a sentence encoder: counts of five letters."""

    reads_ids = False
    width = 5
    calls = 0

    def known_width(self, download):
        return 5

    def encode(self, texts):
        type(self).calls += len(texts)
        rows = np.array([[text.count(letter) + 0.1 for letter in "aeiou"] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def too_long(self, texts):
        return np.array([len(text) > 10 for text in texts], bool)

    def identity(self):
        return {"dtype": "float32"}

    def card(self):
        return {"model": "letters", "dtype": "float32", "width": 5}


def hybrid(weight=0.5):
    return Hybrid(dense=Letters(), lexical=Tfidf(width=4, min_df=1, ngram=1), lexical_weight=weight)


def test_a_cosine_is_the_weighted_mean_of_the_parts_cosines():
    encoder = hybrid()
    encoder.parts["lexical"].fit(CORPUS)
    got, dense, lexical = encoder.encode(CORPUS), *(part.encode(CORPUS) for part in encoder.parts.values())
    np.testing.assert_allclose(got @ got.T, (dense @ dense.T + 0.25 * (lexical @ lexical.T)) / 1.25, atol=1e-6)
    assert encoder.width == encoder.known_width(False) == got.shape[1] == 9
    assert encoder.identity() == {"dense.dtype": "float32"}
    assert encoder.card()["model"] == "letters + tfidf"
    assert encoder.card()["dtype"] == "float32"


def test_a_width_that_is_not_stated_is_unknown(monkeypatch):
    monkeypatch.setattr(Letters, "known_width", lambda self, download: None)
    assert hybrid().known_width(False) is None


def test_a_weight_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"encoder\.lexical_weight"):
        hybrid(0)


def made(tmp_path, encoder, texts=CORPUS):
    knobs = {"dense": {"_target_": "dense"}, "lexical": {"_target_": "lexical"}}
    config = {"encoder": knobs if isinstance(encoder, Hybrid) else knobs["dense"]}
    context = Context(config=config, parents={}, out=tmp_path, work=tmp_path / "a" / "b" / "c", build=None, loggers=[])
    return encoding(context, encoder, lambda: CORPUS, lambda: texts)


def test_vectors_come_part_by_part_and_the_dense_ones_are_stored(tmp_path):
    encoder = hybrid()
    joined = made(tmp_path, encoder, [*CORPUS, ""])
    assert isinstance(joined, Concatenation)
    assert not isinstance(encoder.parts["dense"], CorpusEncoder)
    groups = [CORPUS[:3], [*CORPUS[3:5], ""]]
    before = Letters.calls
    got = np.concatenate(list(joined.vectors(groups)))
    assert got.shape == (2, 3, 9)
    np.testing.assert_allclose(got[0], encoder.encode(CORPUS[:3]), atol=1e-6)
    assert not got[1, 2].any()
    assert joined.num_texts == 6
    assert joined.num_cut == 1
    after = Letters.calls
    again = made(tmp_path, Letters())  # alone: the very vectors that the hybrid left
    assert isinstance(again, Encoding)
    list(again.vectors([CORPUS[:5]]))
    assert Letters.calls == after > before


def test_a_fitted_encoder_stores_nothing_for_others(tmp_path):
    direct = made(tmp_path, Tfidf(width=4, min_df=1, ngram=1))
    assert isinstance(direct, Direct)
    assert next(direct.vectors([CORPUS[:2], CORPUS[2:4]])).shape == (2, 2, 4)
    assert not (tmp_path / "a" / "vector").exists()
