"""Vectors by text: windows, and what is found of earlier ones."""

import numpy as np
import pytest

from pte.encoder import blocks, source
from pte.encoder.blocks import Blocks
from pte.encoder.source import Encoding, windows
from pte.schema import InputError


class Lengths:
    """A text's vector is its length and its first letter."""

    width = 2

    def __init__(self):
        self.batches = []

    def encode(self, texts):
        self.batches.append(texts)
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32)

    def too_long(self, texts):
        return np.array([len(text) > 4 for text in texts])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 2)
    monkeypatch.setattr(source, "WINDOW", 4)


def test_a_file_that_cannot_be_opened_now_is_retained(tmp_path, monkeypatch):
    known = blocks.Blocks(tmp_path, ["a"])
    known.keep(["a"], np.ones((1, 2), np.float32), np.zeros(1, bool))
    with monkeypatch.context() as patch:
        patch.setattr(np, "load", lambda *a, **k: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        assert blocks.Blocks(tmp_path, ["a"]).num_known == 0
        assert known.find(["a"]) == {}
    assert len(blocks.Blocks(tmp_path, ["a"]).find(["a"])) == 1


def vectors(folder, encoder, groups):
    found = Blocks(folder, (text for group in groups for text in group))
    return np.concatenate(list(Encoding(encoder, found).vectors(groups)))


@pytest.mark.parametrize("given", [np.ones((2, 3)), np.ones((1, 2)), np.ones(2), np.full((2, 2), np.nan), None])
def test_vectors_of_another_shape_or_none_are_refused(tmp_path, monkeypatch, given):
    monkeypatch.setattr(Lengths, "encode", lambda self, texts: given)
    with pytest.raises(InputError, match=r"^encoder: Lengths\.encode gave .* for 2 texts: give \(2, 2\)$"):
        vectors(tmp_path, Lengths(), [["a"], ["b"]])


def test_cut_texts_are_counted_whether_encoded_or_found(tmp_path, small):
    """Also of a file that says nothing of it, as versions before wrote them; equal texts of two windows count once."""
    groups = [["a", "long one"], ["bb", "another long one"], ["long one", "ccc"], ["a", "a"]]

    def cut(encoder, groups):
        encoding = Encoding(encoder, Blocks(tmp_path, (text for group in groups for text in group)))
        list(encoding.vectors(groups))
        return encoding.num_cut

    assert cut(Lengths(), groups) == 2
    assert cut(Lengths(), groups) == 2, "nothing is encoded"
    assert cut(Lengths(), groups[:1]) == 1, "those of this run's texts alone"
    for file in tmp_path.glob("block-*.npz"):
        with np.load(file) as arrays:
            before = {name: arrays[name] for name in ("hash", "vector")}
        np.savez(file, **before)
    encoder = Lengths()
    assert cut(encoder, groups) == 2
    assert encoder.batches == []


def test_windows_hold_about_so_many_texts_and_every_group(small):
    groups = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]
    assert list(windows(groups)) == [groups[:2], groups[2:]]
    assert list(windows([])) == []


def test_a_text_of_an_earlier_window_is_found_on_the_disk(tmp_path, small):
    encoder = Lengths()
    groups = [["a", "bb"], ["ccc", "a"], ["a", " "], ["dddd", "bb"]]
    found = vectors(tmp_path, encoder, groups)
    assert found.tolist() == [
        [[len(text), ord(text[0])] if text.strip() else [0, 0] for text in group] for group in groups
    ]
    assert encoder.batches == [["ccc", "bb"], ["a"], ["dddd"]]


def test_vectors_of_a_file_that_is_damaged_meanwhile_are_made_again(tmp_path, small):
    groups = [["a", "bb"], ["ccc", "dddd"]]
    whole = vectors(tmp_path, Lengths(), groups)
    found = Blocks(tmp_path, (text for group in groups for text in group))
    assert found.num_known == 4
    broken = sorted(tmp_path.glob("block-*.npz"))[0]
    broken.write_bytes(broken.read_bytes()[:100])
    encoder = Lengths()
    assert np.array_equal(np.concatenate(list(Encoding(encoder, found).vectors(groups))), whole)
    assert sum(map(len, encoder.batches)) == 2


def test_no_flipped_byte_of_a_block_is_read_as_good(tmp_path):
    texts, rows = ["a", "bb", "ccc"], np.array([[1, 97], [2, 98], [3, 99]], np.float32)
    Blocks(tmp_path, texts).keep(texts, rows, np.zeros(3, bool))
    (file,) = tmp_path.glob("block-*.npz")
    raw = file.read_bytes()
    for at in range(0, len(raw)):
        file.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])
        known = Blocks(tmp_path, texts).find(texts)
        assert all(np.array_equal(known[text], rows[texts.index(text)]) for text in known), at


def test_a_text_whose_hash_begins_alike_is_not_taken_for_another(tmp_path, monkeypatch):
    """Of a hash 64 bits are in memory; the rest is compared where the vector lies."""
    encoder = Lengths()
    vectors(tmp_path, encoder, [["a", "bb"]])
    monkeypatch.setattr(blocks, "prefix", lambda hash: int.from_bytes(blocks.text_hash("bb")[:8]))
    assert vectors(tmp_path, encoder, [["x", "x"]]).tolist() == [[[1, ord("x")]] * 2]
