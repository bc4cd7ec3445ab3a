"""Every case ranked once, in the order of the cases, and figures that are what the ranks say."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pte.metric.summary import MISS, values
from pte.nn.noise import standard_normal
from pte.schema import Cases, InputError, Interactions, Items, Split
from pte.schema.context import Context
from pte.stage import metrics

ITEMS = 12
KNOBS = {  # four cases at a time
    "seed": 3, "ranking": "full", "llm_esr_groups": {"items": None, "users": None},
    "trainer": {"accelerator": "cpu", "scores_mib": 0.0002},
}  # fmt: skip


class Table:
    """Scores by the last item and the number of items read, plus noise from the generator if asked for."""

    length = 3

    def __init__(self, noise=0.0):
        draw = torch.Generator().manual_seed(1)
        self.by_item = torch.randint(0, 9, (ITEMS + 1, ITEMS), generator=draw).float()  # many ties
        self.size = noise

    def score(self, history, *, noise=None):
        last = history.item.gather(1, history.length[:, None] - 1).squeeze(1)
        scores = self.by_item[last] + 0.1 * history.length[:, None] * torch.arange(ITEMS)
        return scores + self.size * standard_normal(scores.shape, noise, scores.device)

    def score_parts(self, history, *, noise=None):
        yield from self.score(history, noise=noise).split(3)  # four cases to a question


def world(users=17):
    rng = np.random.default_rng(0)
    count = rng.integers(3, 8, users)
    user = np.repeat(np.arange(users, dtype=np.int32), count)
    item = rng.integers(1, ITEMS + 1, len(user)).astype(np.int32)
    items = Items([""] + [f"i{i}" for i in range(1, ITEMS + 1)], [""] + ["t"] * ITEMS, {})
    ids = [f"u{u}" for u in range(users)]
    interactions = Interactions(user, item, np.arange(len(user)), ids, items, {})
    ask = np.arange(users, dtype=np.int32)
    place = np.arange(len(user)) - interactions.start[user]
    valid = Cases(ask, interactions.start[1:] - 2, np.zeros(users, bool))
    test = Cases(ask[::-1].copy(), interactions.start[1:][::-1] - 1, ask % 3 == 0)  # not in the order of users
    train = place < count[user] - 2
    return interactions, Split(train, train, valid, test)


@pytest.fixture
def measure(tmp_path, monkeypatch):
    def run(interactions, split, backbone, **knobs):
        folders = {name: tmp_path / name for name in ("interactions", "split", "training", "out")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        out, work = folders.pop("out"), tmp_path / "work"
        work.mkdir(exist_ok=True)
        replace(interactions, card={}).save(folders["interactions"])
        split.save(folders["split"])
        monkeypatch.setattr(metrics, "restore", lambda *_: backbone)
        metrics.run(Context(KNOBS | knobs, folders, out, work, lambda *_: None, []))
        shutil.rmtree(work)  # as the pipeline does
        with np.load(out / "ranks.npz") as file:
            return metrics.load(out), dict(file)

    run.out = tmp_path / "out"
    return run


def plain(backbone, interactions, cases):
    """Ranks by the definition, one case at a time."""
    masked, unmasked = [], []
    for begin, end in zip(cases.history_begin(interactions), cases.target, strict=True):
        history = interactions.item[begin:end].tolist()
        read = history[-backbone.length :]
        scores = backbone.by_item[read[-1]] + 0.1 * len(read) * torch.arange(ITEMS)
        target = int(interactions.item[end])
        ahead = {j for j in range(1, ITEMS + 1) if j != target and scores[j - 1] >= scores[target - 1]}
        unmasked.append(len(ahead))
        masked.append(MISS if target in history else len(ahead - set(history)))  # all of it, not only what was read
    return masked, unmasked


def test_ranks_are_the_definition_case_by_case(measure):
    interactions, split = world()
    backbone = Table()
    flat, arrays = measure(interactions, split, backbone)
    for part, cases in (("valid", split.valid), ("test", split.test)):
        masked, unmasked = plain(backbone, interactions, cases)
        assert arrays[f"{part}_masked"].tolist() == masked
        assert arrays[f"{part}_unmasked"].tolist() == unmasked
        assert arrays[f"{part}_user"].tolist() == cases.user.tolist()
        assert arrays[f"{part}_target"].tolist() == interactions.item[cases.target].tolist()
        assert flat[f"{part}/masked/all/n"] == len(cases.user)
    assert flat["test/masked/all/NDCG@5"] == pytest.approx(values("NDCG", arrays["test_masked"], 5).mean())


def test_how_many_cases_are_scored_at_once_changes_no_rank(measure):
    """Also of a backbone whose scores take noise."""
    data, (_, ranks) = world(), measure(*world(), Table(noise=3.0))
    more = {"trainer": KNOBS["trainer"] | {"scores_mib": 4 * KNOBS["trainer"]["scores_mib"]}}
    _, others = measure(*data, Table(noise=3.0), **more)
    assert all(np.array_equal(ranks[name], others[name]) for name in ranks)


@pytest.mark.parametrize("at", [0, 2, 4, 6, 9])  # five questions in validation, five in the test
def test_a_killed_run_goes_on_at_the_question_where_it_was(measure, at):
    data = world()
    whole, ranks = measure(*data, Table(noise=3.0))

    class Dying(Table):
        calls, last = 0, 99

        def score_parts(self, history, *, noise=None):
            for part in super().score_parts(history, noise=noise):
                if self.calls == self.last:
                    raise RuntimeError("killed")  # before the first rows, then after three of four
                yield part
            self.calls += 1

    dying, resumed = Dying(noise=3.0), Dying(noise=3.0)
    dying.last = at
    with pytest.raises(RuntimeError, match="killed"):
        measure(*data, dying)
    again, ranks_again = measure(*data, resumed)
    assert (dying.calls, resumed.calls) == (at, 10 - at)
    assert again == whole
    assert all(np.array_equal(ranks[name], ranks_again[name]) for name in ranks)


@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_damaged_ranks_are_made_again(measure, tmp_path, damage):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "valid_masked.npy").write_bytes(damage)
    data = world()
    damaged, _ = measure(*data, Table())
    assert damaged == measure(*data, Table())[0]


def test_llm_esr_groups_are_there_on_request(measure, twelve, twelve_split):
    """Targets of the test: ann's item 5, met once by anybody, bob's item 6; ann has four rows, bob three."""
    backbone = Table()
    backbone.score = lambda history, noise=None: torch.arange(6.0).expand(len(history.item), 6)
    plain, _ = measure(twelve, twelve_split, backbone)
    assert not any("llm_esr" in key for key in plain)
    flat, arrays = measure(twelve, twelve_split, backbone, llm_esr_groups={"items": 1, "users": 4})
    assert arrays["test_llm_esr_head_item"].tolist() == [True, True]
    assert arrays["test_llm_esr_head_user"].tolist() == [True, False]
    assert (flat["test/masked/llm_esr_tail_items/n"], flat["test/masked/llm_esr_tail_users/n"]) == (0, 1)
    assert flat["test/unmasked/llm_esr_tail_users/MRR@5"] == 1  # bob's target scores highest
    assert {k: v for k, v in flat.items() if "llm_esr" not in k} == plain


def test_groups_by_hand(measure, twelve, twelve_split):
    backbone = Table()
    backbone.by_item = torch.zeros(7, 6)
    backbone.score = lambda history, noise=None: torch.arange(6.0).expand(len(history.item), 6)
    flat, arrays = measure(twelve, twelve_split, backbone)
    # item 6 scores highest. Test: ann's target 5 has one item ahead, bob's target 6 none.
    assert arrays["test_unmasked"].tolist() == [1, 0]
    # Validation: ann's target 4 has 5 and 6 ahead; bob's target 1 all five, of which he has seen 2 and 3.
    assert arrays["valid_unmasked"].tolist() == [2, 5]
    assert arrays["valid_masked"].tolist() == [2, 3]
    # train counts: 2, 3, 3, 0, 0, 0; the ceil(.2 x 6) = 2 largest are head, items 2 and 3
    assert arrays["valid_train_count"].tolist() == [0, 2]
    assert flat["test/masked/tail_items/n"] == 2
    assert flat["test/masked/head_items/n"] == 0
    assert "test/masked/head_items/NDCG@10" not in flat
    assert flat["test/masked/untied/n"] == 1  # ann's last two are tied
    assert flat["test/masked/untied/Hit@5"] == 1
    assert not any(key.startswith("valid/masked/untied") for key in flat)  # nobody is tied there
    assert flat["test/masked/head_users/n"] == flat["test/masked/tail_users/n"] == 1


def test_the_draws_are_the_seeds(measure):
    interactions, split = world()
    one, same = (measure(interactions, split, Table(noise=5.0))[1]["test_masked"] for _ in range(2))
    assert one.tolist() == same.tolist()


def test_a_constant_scorer_gets_nothing(measure):
    interactions, split = world()
    backbone = Table()
    backbone.score = lambda history, noise=None: torch.ones(len(history.item), ITEMS)
    flat, arrays = measure(interactions, split, backbone)
    assert arrays["test_unmasked"].tolist() == [ITEMS - 1] * 17
    assert flat["test/unmasked/all/Hit@10"] == 0


def test_scores_that_are_no_numbers_are_refused(measure):
    interactions, split = world()
    backbone = Table()
    backbone.by_item[:] = torch.nan
    with pytest.raises(ValueError, match="scores are NaN"):
        measure(interactions, split, backbone)


def test_sampled_figures_stand_beside_the_full_ones_under_other_names(measure, monkeypatch):
    monkeypatch.setattr(metrics, "draws", lambda cases, seed: np.random.default_rng(seed).random((cases, 4)))
    full, _ = measure(*world(), Table())
    both, arrays = measure(*world(), Table(), ranking="sampled")
    added = both.keys() - full.keys()
    assert {key: both[key] for key in full} == full
    assert added
    assert all(key.split("/")[1] == "sampled" and (key.endswith("|100neg") or key.endswith("/n")) for key in added)
    assert both["test/sampled/all/NDCG@5|100neg"] == pytest.approx(values("NDCG", arrays["test_sampled"], 5).mean())
    # Four of the items that the masked ranking counts: never more ahead, nor more than four.
    assert (arrays["test_sampled"] <= np.minimum(arrays["test_masked"], 4)).all()
    assert (arrays["test_sampled"] > 0).any()


def test_other_rankings_are_refused(measure):
    with pytest.raises(InputError, match="ranking=half: take one of full, sampled"):
        measure(*world(), Table(), ranking="half")


def test_the_file_is_flat_json(measure, tmp_path):
    measure(*world(), Table())
    flat = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert all(isinstance(value, int | float) for value in flat.values())
    assert {key.split("/")[0] for key in flat} == {"valid", "test"}


def test_the_best_items_of_every_test_case_are_stored(measure):
    interactions, split = world()
    flat, _ = measure(interactions, split, backbone := Table())
    lists = np.load(measure.out / "lists.npy")
    cases = split.test
    histories = [interactions.item[a:b] for a, b in zip(cases.history_begin(interactions), cases.target, strict=True)]
    for found, history in zip(lists, histories, strict=True):
        read = history[-backbone.length :]
        scores = backbone.by_item[int(read[-1])] + 0.1 * len(read) * torch.arange(ITEMS)
        free = [i for i in range(1, ITEMS + 1) if i not in history]
        best = sorted(free, key=lambda i: (-float(scores[i - 1]), i))[:10]
        assert found.tolist() == (best if len(best) == 10 else [0] * 10)
    full = lists[lists.min(axis=1) > 0]
    assert 0 < len(full) < len(lists)
    assert flat["test/masked/all/Coverage@10"] == len(np.unique(full)) / ITEMS
    assert not any("Category" in key or "Vector" in key or key.startswith("valid/masked/all/Cov") for key in flat)
