"""TF-IDF vectors of the data's own texts on few axes (latent semantic analysis, Deerwester et al., 1990): no model.

    v_i = U_k^T x_i / |U_k^T x_i|,     x_i = (1 + log tf) idf of the words of text i,     X ~ V S U_k^T

What counted words alone give, beside a language model's vectors; both steps are scikit-learn's. Words and axes are
those of the corpus it is fitted to, items' texts and metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pte.encoder.base import CorpusEncoder
from pte.schema import InputError, require

SEED = 0  # of the randomised decomposition: a constant, since more iterations hardly change the axes
WORD = r"(?u)\b\w+\b"  # scikit-learn's own pattern leaves out words of one character


class Tfidf(CorpusEncoder):
    """scikit-learn's TfidfVectorizer, then TruncatedSVD."""

    reads_ids = False

    def __init__(self, *, width: int, min_df: int, ngram: int) -> None:
        """width: axes, d; min_df: texts that a word must stand in to count; ngram: 2 counts pairs of words as well."""
        require(1 <= width <= 65_536, "encoder.width", width, "give a whole number, 1 to 65536")
        require(min_df >= 1, "encoder.min_df", min_df, "give a whole number, 1 or more")
        require(1 <= ngram <= 5, "encoder.ngram", ngram, "1 counts single words, 2 pairs as well, up to 5")
        self.width, self.min_df, self.ngram = width, min_df, ngram
        self.counts: Any = None  # until `fit`
        self.axes: Any = None
        self.facts: dict[str, Any] = {}

    def known_width(self, download: bool) -> int:
        return self.width

    def identity(self) -> dict[str, str]:
        return {}

    def fit(self, corpus: Iterable[str]) -> None:
        """Learn words and axes. InputError where fewer than two words are left."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = sorted({text for text in corpus if text.strip()})  # in an order that does not depend on the data's
        self.counts = TfidfVectorizer(
            sublinear_tf=True, min_df=self.min_df, ngram_range=(1, self.ngram), token_pattern=WORD, dtype=np.float32,
        )  # fmt: skip
        try:
            weights = self.counts.fit_transform(texts)
        except ValueError:  # no word stands in so many
            weights = None
        if weights is None or weights.shape[1] < 2:
            raise InputError(
                f"encoder=tfidf: of the {len(texts):,} texts of items, no two words stand in {self.min_df} or more:"
                " type encoder.min_df=1, or give items more text"
            )
        known = min(self.width, *weights.shape)  # axes that the texts can fill; the others stay zero
        with np.errstate(invalid="ignore"):  # equal texts have no variance to explain
            self.axes = TruncatedSVD(known, random_state=SEED).fit(weights)
        self.facts = {"corpus_texts": len(texts), "vocabulary": weights.shape[1]}

    def encode(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32: unit rows, zeros where a text has no word of the corpus."""
        if self.counts is None:
            raise RuntimeError("fit comes before encode")
        vectors = np.zeros((len(texts), self.width), np.float32)
        if texts:
            rows = self.axes.transform(self.counts.transform(texts))
            vectors[:, : rows.shape[1]] = rows
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def too_long(self, texts: list[str]) -> np.ndarray:
        """(n,) bool: none, every word is read."""
        return np.zeros(len(texts), bool)

    def card(self) -> dict[str, Any]:
        return {"model": "tfidf", "width": self.width, **self.facts}
