"""The stage on the twelve interactions: what it writes is whole, readable and the same every time."""

import csv
import json

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.engine.build import builder
from pte.paths import CONF_DIR
from pte.schema import Embeddings, Entities, Generation, Profiles, Selection
from pte.schema.context import Context
from pte.stage import selection

D = 8


def unit(*shape, seed):
    rows = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def make(tmp_path, twelve, twelve_split, caplog):
    """Runs the stage with a selector on K candidates and gives its folder and the lines it said."""

    def run(selector, choices=3, name="out", sides=("user", "item", "metadata")):
        K = choices
        folders = {n: tmp_path / f"{name}-{n}" for n in selection.PARENTS}
        out = tmp_path / name
        for folder in (*folders.values(), out):
            folder.mkdir()
        twelve.save(folders["interactions"])
        twelve_split.save(folders["split"])
        bad = ("user", 1, 1, 0)
        entities = [("user", u) for u in range(4)] + [("item", i) for i in range(1, 7)]
        generations = [
            Generation(
                s, e, r, k, f"form {k * r}", 0.5 * k, "", "", f"{s} {e} text {k} of round {r}", (s, e, r, k) != bad
            )
            for s, e in entities
            for r in (0, 1)
            for k in range(K)
        ]
        Profiles.of(generations).save(folders["profiles"])
        vectors = np.concatenate([unit(4, K, D, seed=0) * ("user" in sides), unit(6, K, D, seed=1)])
        metadata = unit(6, D, seed=2) if "metadata" in sides else None
        Embeddings(Entities(4, 6), vectors, "user" in sides, metadata).save(folders["embeddings"])
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = OmegaConf.to_container(compose(overrides=["+reward=pte", f"+selector={selector}"]))
        caplog.clear()
        selection.run(Context(config, folders, out, out, builder(config), []))
        return out, list(caplog.messages), Embeddings.load(folders["embeddings"])

    return run


@pytest.mark.parametrize("selector", ["first", "random", "mean", "best_of_k", "best_of_k_half", "grpo"])
def test_what_is_selected_is_a_candidate(make, selector):
    out, lines, tables = make(selector)
    got = Selection.load(out)
    assert (got.entities, got.vector.shape) == (Entities(4, 6), (10, D))
    assert got.choice.dtype == np.int16
    np.testing.assert_allclose(np.linalg.norm(got.vector, axis=1), 1, atol=1e-6)
    for x, k in enumerate(got.choice):
        assert (k == -1) == (selector == "mean")
        if k >= 0:
            assert np.array_equal(got.vector[x], tables.vector[x, k])
    assert len(lines) >= 2


def test_rewards_of_all_candidates_are_stored(make):
    out, _, _ = make("best_of_k")
    with np.load(out / "reward.npz") as file:
        arrays = dict(file)
    for part in ("collaborative", "distinct", "format", "total"):
        assert arrays[part].shape == (10, 3)
        assert np.isfinite(arrays[part]).all()
    # the first is unparsed; the others have 7 of at least 15 words
    assert arrays["format"][1].tolist() == pytest.approx([-1, -8 / 15, -8 / 15])
    assert np.flatnonzero(arrays["collaborative_known"]).tolist() == [0, 5, 6]  # ann's third row, item 3, is withheld
    assert Selection.load(out).choice.tolist() == arrays["total"].argmax(1).tolist()


def test_samples_are_rows_to_read(make):
    out, _, _ = make("grpo")
    rows = json.loads((out / "samples.json").read_text())
    assert len(rows) == (4 + 6) * 3
    assert [row["side"] for row in rows[:12:3]] == ["user", "item", "user", "item"]
    assert rows[0]["entity"] == 0  # the only user of known reward comes first
    assert rows[0]["text"] == "user 0 text 0 of round 1"  # the last round holds the candidates
    assert rows[0]["form"] == "form 0"
    assert rows[1]["temperature"] == 0.5
    assert sum(row["chosen"] for row in rows) == 10
    assert all(set(row) == set(rows[0]) for row in rows)


def test_the_curve_and_the_facts(make):
    out, lines, _ = make("grpo")
    with (out / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(10))
    assert {"reward_collaborative", "reward_total", "entropy", "kl", "frac_zero_std", "effective_rank"} <= set(rows[-1])
    facts = json.loads((out / "facts.json").read_text())
    assert facts["user"]["known"] == 1
    assert facts["item"]["known"] == 2
    assert sum(facts["item"]["chosen_candidate"]) == 6
    assert sum(facts["item"]["chosen_form"].values()) == 6
    assert any("reward known for 2" in line for line in lines)


def test_the_same_knobs_give_the_same_artefact(make):
    one, two = make("grpo", name="one")[0], make("grpo", name="two")[0]
    for file in ("selection.npz", "reward.npz"):
        with np.load(one / file) as a, np.load(two / file) as b:
            assert all(np.array_equal(a[name], b[name]) for name in a.files)


@pytest.mark.parametrize("selector", ["first", "mean", "best_of_k", "grpo"])
def test_one_candidate_is_no_choice(make, selector):
    out, _, tables = make(selector, choices=1)
    got = Selection.load(out)
    np.testing.assert_allclose(got.vector, tables.vector[:, 0], atol=1e-6)
    assert got.choice.tolist() == [0] * 10


def test_half_of_the_withheld_rows_judge_the_choice(make):
    out, _, _ = make("best_of_k_half")
    facts = json.loads((out / "facts.json").read_text())
    assert "judged_by_the_rest" in facts


@pytest.mark.parametrize("selector", ["first", "random", "mean", "permuted"])
def test_items_are_selected_alike_without_users_texts(make, selector):
    """Vectors, choices, rewards and facts of items: bit for bit."""
    (whole, _, _), (part, output, tables) = make(selector), make(selector, name="items", sides=("item", "metadata"))
    assert not tables.users_encoded
    assert np.array_equal(Selection.load(whole).side("item"), Selection.load(part).side("item"))
    assert not Selection.load(part).side("user").any()
    with np.load(whole / "reward.npz") as one, np.load(part / "reward.npz") as two:
        assert all(np.array_equal(one[name][4:], two[name][4:]) for name in one.files)
        assert not two["total_known"][:4].any()
        assert not two["total"][:4].any()
    one, two = (json.loads((out / "facts.json").read_text()) for out in (whole, part))
    assert one["item"] == two["item"]
    assert (one["users_encoded"], two["users_encoded"]) == (True, False)
    assert not [line for line in output if "users" in line]


@pytest.mark.parametrize("selector", ["first", "random", "mean", "best_of_k_half", "grpo"])
def test_one_candidate_is_taken_unjudged(make, selector):
    (whole, _, _), (part, output, _) = make(selector, 1), make(selector, 1, name="items", sides=("item",))
    assert np.array_equal(Selection.load(whole).side("item"), Selection.load(part).side("item"))
    assert Selection.load(part).side("item").any()
    assert json.loads((part / "facts.json").read_text())["item"]["known"] == 0
    assert len(output) >= 1
