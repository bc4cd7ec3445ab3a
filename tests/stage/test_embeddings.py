"""Every text encoded once, laid out by entity, and kept when the process is killed."""

import hashlib
import json

import numpy as np
import pytest

from pte.dataset.table.text import metadata_text
from pte.encoder import source
from pte.schema import Embeddings, Entities, Generation, Profiles
from pte.schema.context import Context
from pte.schema.knob import Runtime
from pte.stage import embeddings


class Hashed:
    """A text's vector is a function of its letters."""

    width = 8
    reads_ids = False

    def __init__(self, die_after=10**9, model: str = "", batch_size: Runtime[int] = 1):
        self.texts_read, self.die_after = [], die_after

    def encode(self, texts):
        if len(self.texts_read) + len(texts) > self.die_after:
            raise KeyboardInterrupt
        self.texts_read += texts
        rows = [np.frombuffer(hashlib.sha256(t.encode()).digest(), np.uint8)[:8] - 128.0 for t in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)

    def too_long(self, texts):
        return np.array([len(text) > 6 for text in texts])

    def identity(self):
        return {"dtype": "hashed"}

    def card(self):
        return {"model": "hashed"}


@pytest.fixture
def world(tmp_path, twelve):
    """Four users and six items with two profiles each; "shared" stands in many, one text is blank."""
    texts = {("user", u): [f"user {u}", "shared"] for u in range(4)}
    texts |= {("item", i): [f"item {i}", "shared" if i < 6 else " "] for i in range(1, 7)}
    generations = [
        Generation(side, entity, 0, k, "plain", 0.0, "", text, text, True)
        for (side, entity), pair in texts.items()
        for k, text in enumerate(pair)
    ]
    folders = {name: tmp_path / name for name in ("interactions", "profiles")}
    for folder in folders.values():
        folder.mkdir()
    twelve.save(folders["interactions"])
    Profiles.of(generations).save(folders["profiles"])

    def context(encoder, name="out", sides=("item", "metadata", "user"), **knobs):
        (tmp_path / name).mkdir()
        config = {"encoder": {"_target_": "Hashed", **knobs}, "encoded": sides}
        work = tmp_path / "work" / "embeddings" / name  # of this key alone; vectors are kept beside it
        return Context(config, folders, tmp_path / name, work, lambda group: encoder, [])

    return context


def test_layout_and_no_text_twice(world, twelve):
    encoder = Hashed()
    made = world(encoder)
    embeddings.run(made)
    got = Embeddings.load(made.out)
    assert (got.entities, got.vector.shape, got.metadata.shape) == (Entities(4, 6), (10, 2, 8), (6, 8))
    assert got.vector.dtype == np.float32
    assert not got.vector[9, 1].any()  # a blank text of item 6
    one = Hashed()
    assert np.array_equal(got.vector[2], one.encode(["user 2", "shared"]))
    assert np.array_equal(got.vector[8], one.encode(["item 5", "shared"]))
    assert np.array_equal(got.metadata, one.encode(metadata_text(twelve.items)[1:]))
    assert len(encoder.texts_read) == len(set(encoder.texts_read)) == 4 + 6 + 1 + 6
    lengths = [len(t) for t in encoder.texts_read[-6:]]
    assert lengths == sorted(lengths, reverse=True), "of one side the longest first"
    facts = json.loads((made.out / "facts.json").read_text())
    assert facts["encoder"] == {"model": "hashed", "texts_cut": 6}, "the lines of metadata"
    assert facts["item"]["blank"] == 1
    assert facts["metadata"]["entities"] == 6


def test_a_killed_run_loses_only_the_block_in_flight(world, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 3)
    with pytest.raises(KeyboardInterrupt):
        embeddings.run(world(Hashed(die_after=10), "killed"))
    after = Hashed()
    made = world(after, "resumed")
    embeddings.run(made)
    assert len(after.texts_read) == 17 - (3 + 2) - 3, "blocks of three: five of people, then items"
    whole = world(Hashed(), "whole")
    embeddings.run(whole)  # all found
    one, two = Embeddings.load(made.out), Embeddings.load(whole.out)
    assert np.array_equal(one.vector, two.vector)
    assert np.array_equal(one.metadata, two.metadata)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"nonsense"])
def test_a_damaged_block_is_encoded_again(world, monkeypatch, damage):
    monkeypatch.setattr(source, "BLOCK", 3)
    made = world(Hashed(), "first")
    embeddings.run(made)
    block = sorted(made.work.parent.parent.glob("vector/*/block-*.npz"))[2]
    block.write_bytes(damage(block.read_bytes()))
    after = Hashed()
    again = world(after, "again")
    embeddings.run(again)
    assert 2 <= len(after.texts_read) <= 3
    assert np.array_equal(Embeddings.load(again.out).vector, Embeddings.load(made.out).vector)


def test_sides_that_nothing_reads_are_left_out_and_later_cost_themselves_alone(world):
    first = Hashed()
    items = world(first, "items", sides=["item"])
    embeddings.run(items)
    got = Embeddings.load(items.out)
    assert (got.users_encoded, got.metadata) == (False, None)
    assert not got.vector[:4].any()
    assert len(np.load(items.out / "vector.npy")) == 6  # of users nothing is stored
    assert json.loads((items.out / "facts.json").read_text())["encoded"] == ["item"]
    assert sorted(first.texts_read) == [*(f"item {i}" for i in range(1, 7)), "shared"]
    second = Hashed()
    both = world(second, "both", sides=["item", "user"])
    embeddings.run(both)
    assert sorted(second.texts_read) == [f"user {u}" for u in range(4)]
    assert np.array_equal(Embeddings.load(both.out).vector[4:], got.vector[4:])


def test_another_encoder_finds_no_vectors_and_other_speed_does(world):
    embeddings.run(world(Hashed(), "one", model="a", batch_size=1))
    same, other = Hashed(), Hashed()
    embeddings.run(world(same, "two", model="a", batch_size=64))
    embeddings.run(world(other, "three", model="b", batch_size=1))
    assert (len(same.texts_read), len(other.texts_read)) == (0, 17)


def test_a_model_folder_written_anew_finds_no_vectors(world, tmp_path):
    (tmp_path / "model").mkdir()
    for words, texts_read in (("first", 17), ("first", 0), ("tuned", 17)):
        (tmp_path / "model" / "weights").write_text(words)
        encoder = Hashed()
        embeddings.run(world(encoder, f"{words}{texts_read}", model=str(tmp_path / "model")))
        assert len(encoder.texts_read) == texts_read
