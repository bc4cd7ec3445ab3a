"""Counted words on few axes: parity with plain arithmetic, independence of order, small corpora, refusals."""

import numpy as np
import pytest

from pte.encoder.tfidf import Tfidf
from pte.schema import InputError

CORPUS = ["red train red", "blue train", "blue boat", "green boat sails", "red boat", "a doll", "green doll"]


def fitted(corpus=CORPUS, **knobs):
    encoder = Tfidf(**{"width": 4, "min_df": 1, "ngram": 1, **knobs})
    encoder.fit(corpus)
    return encoder


def plain(corpus, texts):
    """(n, V) TF-IDF by hand: (1 + log tf) (log((1 + n) / (1 + df)) + 1), unit rows."""
    words = sorted({word for text in corpus for word in text.split()})
    df = np.array([sum(word in text.split() for text in corpus) for word in words])
    tf = np.array([[text.split().count(word) for word in words] for text in texts], float)
    x = np.where(tf > 0, 1 + np.log(np.maximum(tf, 1)), 0) * (np.log((1 + len(corpus)) / (1 + df)) + 1)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_cosines_are_those_of_tf_idf_on_its_first_axes():
    u, s, _ = np.linalg.svd(plain(sorted(CORPUS), CORPUS), full_matrices=False)
    expected = u[:, :4] * s[:4]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    got = fitted().encode(CORPUS)
    np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=1e-5)
    assert got.dtype == np.float32


def test_order_and_repeats_of_the_corpus_change_nothing():
    np.testing.assert_array_equal(fitted().encode(CORPUS), fitted([*CORPUS[::-1], *CORPUS, ""]).encode(CORPUS))


def test_a_text_without_a_known_word_is_zeros_as_a_blank_one_is():
    got = fitted().encode(["", "unheard of", "red"])
    assert not got[:2].any()
    assert np.linalg.norm(got[2]) == pytest.approx(1)


def test_axes_that_few_texts_cannot_fill_stay_zero():
    got = fitted(["red train", "blue boat"], width=6).encode(["red train"])
    assert got.shape == (1, 6)
    assert np.linalg.norm(got) == pytest.approx(1)
    alone = fitted(["red train"], width=3).encode(["train"])
    assert np.linalg.norm(alone) == pytest.approx(1)


def test_pairs_of_words_tell_orders_apart():
    texts = ["dog bites man", "man bites dog"]
    single, pairs = (fitted(texts, ngram=ngram, width=2).encode(texts) for ngram in (1, 2))
    assert single[0] @ single[1] == pytest.approx(1)
    assert pairs[0] @ pairs[1] < 0.9


@pytest.mark.parametrize("knob", ["width", "min_df", "ngram"])
def test_knobs_are_refused_by_name(knob):
    with pytest.raises(InputError, match=rf"encoder\.{knob}"):
        fitted(**{knob: 0})


@pytest.mark.parametrize(("corpus", "least"), [([], 1), (["", "??"], 1), (["train"], 1), (CORPUS, 100)])
def test_a_corpus_without_two_words_is_refused(corpus, least):
    with pytest.raises(InputError, match="no two words"):
        fitted(corpus, min_df=least)
