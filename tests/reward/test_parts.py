"""Each part of the reward on a world where the right answer is planted, and the leak rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helper.reward import ITEM, USER, N, U, rng, unit, world
from torch.nn import functional as F

from pte.reward import collaborative
from pte.reward.collaborative import Collaborative, _Draw
from pte.reward.contrast import NONE
from pte.reward.data import reward_data
from pte.reward.distinct import Distinct
from pte.reward.format import Format, withheld_titles
from pte.reward.space import Space
from pte.schema import Embeddings, Entities, InputError, Interactions, Items, Profiles, Split


def test_a_user_profile_that_points_at_withheld_items_wins():
    data = world()
    space = Space.of(data, None)
    vector = space.vector.clone()
    vector[data.row_user[data.withheld], 1] = space.centroid[data.row_item[data.withheld]]
    got = Collaborative().score(data, replace(space, vector=vector), rng())
    assert got.known[USER].tolist() == [False] + [True] * (U - 1)
    assert not got.value[0].any()
    assert (got.value[1:U].argmax(1) == 1).all()


def test_an_item_profile_that_points_at_its_withheld_holders_wins():
    data = world()
    space = Space.of(data, None)
    vector = space.vector.clone()
    for u, i in zip(data.row_user[data.withheld].tolist(), data.row_item[data.withheld].tolist(), strict=True):
        vector[i, 2] += 3 * space.centroid[u]
    got = Collaborative().score(data, replace(space, vector=F.normalize(vector, dim=-1)), rng())
    withheld_items = torch.unique(data.row_item[data.withheld])
    assert (got.value[withheld_items].argmax(1) == 2).float().mean() > 0.9  # neighbours in the sequence pull elsewhere


def test_an_item_profile_that_points_at_withheld_neighbours_wins():
    data = world()
    space = Space.of(data, None)
    vector = space.vector.clone()
    last = torch.nonzero(data.withheld).squeeze(1)
    before = torch.unique(data.row_item[last - 1])
    for row in last.tolist():
        vector[data.row_item[row - 1], 0] += 3 * space.centroid[data.row_item[row]]
    got = Collaborative().score(data, replace(space, vector=F.normalize(vector, dim=-1)), rng())
    assert got.known[before].all()
    alone = before[~torch.isin(before, data.row_item[last])]  # others have withheld holders, who pull elsewhere
    assert len(alone) >= 5
    assert (got.value[alone].argmax(1) == 0).all()


def test_what_one_relates_to_in_training_is_never_a_negative():
    data = world()
    trained = set(zip(data.row_user.tolist(), data.row_item.tolist(), strict=True))
    beside = {(i, i) for i in range(U, U + N)}
    for row in range(1, U * 6):
        if data.row_user[row] == data.row_user[row - 1]:
            a, b = int(data.row_item[row - 1]), int(data.row_item[row])
            beside |= {(a, b), (b, a)}
    draw = _Draw(data, Space.of(data, None), 64, 4096, rng())
    for contrast, related in (
        (draw.users_by_items(), trained),
        (draw.items_by_users(), {(i, u) for u, i in trained}),
        (draw.items_by_items(), beside),
    ):
        found = 0
        for row, (x, p) in enumerate(zip(contrast.entity.tolist(), contrast.positive.tolist(), strict=True)):
            assert (x, p) in related
            negatives = [j for j in contrast.negative[row].tolist() if j != NONE]
            rivals = [j for j in contrast.rival[row].tolist() if j != NONE]
            assert not any((x, j) in related for j in negatives)
            assert not any((j, p) in related for j in rivals)
            found += len(negatives) + len(rivals)
        assert found > 64 * len(contrast.entity)  # most of 128 remain


def test_the_hard_half_of_negatives_are_look_alikes_of_the_positive(monkeypatch):
    monkeypatch.setattr(collaborative, "LOOK_ALIKES", 2)
    monkeypatch.setattr(collaborative, "TOGETHER", 0)
    data = world()
    space = Space.of(data, None)
    similarity = space.centroid[ITEM] @ space.centroid[ITEM].T
    near = similarity.fill_diagonal_(-9).topk(2, dim=1).indices + U
    negative = _Draw(data, space, 64, 4096, rng())._items(torch.tensor([U, U + 7, U + N - 1]))
    for row, item in enumerate((0, 7, N - 1)):
        assert set(negative[row, 32:].tolist()) == set(near[item].tolist())


def test_nothing_withheld_means_nothing_known():
    data = world()
    bare = replace(data, withheld=torch.zeros_like(data.withheld))
    got = Collaborative().score(bare, Space.of(bare, None), rng())
    assert not got.known.any()
    assert not got.value.any()


def test_halves_of_the_withheld_rows_are_disjoint_and_whole():
    data = world()
    mine, rest = data.split_withheld(0.5, rng())
    rows = [list(zip(d.row_user.tolist(), d.row_item.tolist(), strict=True)) for d in (data, mine, rest)]
    hidden = [
        [row for row, w in zip(r, d.withheld, strict=True) if w] for r, d in zip(rows, (data, mine, rest), strict=True)
    ]
    assert sorted(hidden[1] + hidden[2]) == sorted(hidden[0])
    assert hidden[1]
    assert hidden[2]
    for one, other in ((mine, 2), (rest, 1)):  # neither holds the other's rows, be it as neighbours or as known
        assert len(one.row_user) == len(data.row_user) - len(hidden[other])
        assert int(one.visible.sum()) == int(data.visible.sum())


def test_a_profile_like_its_own_anchor_is_recognised_and_a_collapsed_one_is_not():
    data = world()
    space = Space.of(data, None)
    own, vector = space.centroid[USER], space.vector.clone()
    vector[USER, 0] = own
    vector[USER, 1] = own.roll(1, 0)  # somebody else
    vector[USER, 2] = F.normalize(own.mean(0), dim=0)  # everybody
    got = Distinct().score(data, replace(space, vector=vector), rng())
    score = got.value[USER]
    assert (score.argmax(1) == 0).all()
    assert score[:, 2].mean() > score[:, 1].mean()
    # log p(x|y) of the collapsed vector is on average no better than guessing among x and the others
    assert score[:, 2].mean() < -np.log(60)
    assert got.known.all()


def test_who_has_no_centroid_is_not_judged_and_is_nobodys_negative():
    data = world()
    data.vector[U + 4], data.metadata[4] = 0, 0
    data = replace(data, visible=data.visible & (data.row_user != 2))
    got = Distinct().score(data, Space.of(data, None), rng())
    assert torch.nonzero(~got.known).flatten().tolist() == [2, U + 4]
    assert not got.value[[2, U + 4]].any()


def test_an_item_is_judged_by_its_leave_one_out_centroid():
    """A text that has nothing to do with the metadata does not bring an anchor of its own along."""
    data = world()
    data = replace(data, vector=data.vector[:, :1])
    stranger = Distinct().score(data, Space.of(data, None), rng()).value[ITEM]
    assert stranger.mean() < -np.log(60)
    same = replace(data, vector=torch.cat([data.vector[USER], data.metadata[:, None]]))
    assert (Distinct().score(same, Space.of(same, None), rng()).value[ITEM] > -1).all()


def test_negatives_are_a_matter_of_the_generator():
    data = world()
    space = Space.of(data, None)
    one, same, other = (Collaborative().score(data, space, rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.value, same.value)
    assert not torch.equal(one.value[USER], other.value[USER])


def test_held_out_rows_are_never_read(twelve, twelve_split):
    """Whatever stands in validation and test rows, and in those gates are fitted on, the reward is the same; a withheld
    row matters.
    """
    split = replace(twelve_split, visible=twelve_split.visible.copy(), holdout=np.arange(12) == 2)
    split.visible[[1, 2]] = False  # ann's third row is held out, the one before it withheld

    def rewards(interactions):
        profiles = Profiles([["a b"] * 2] * 4, [["a b"] * 2] * 7, [])
        vectors = Embeddings(Entities(4, 6), unit(10, 2, 8).numpy(), True, unit(6, 8, seed=1).numpy())
        parsed = torch.ones(10, 2, dtype=torch.bool)
        data = reward_data(interactions, split, profiles, vectors, parsed=parsed, device=torch.device("cpu"))
        space = Space.of(data, 4)
        scores = [part.score(data, space, rng()) for part in (Collaborative(), Distinct(), Format())]
        return [score.value for score in scores]

    held_out = ~split.rest
    item = twelve.item.copy()
    item[held_out] = 7 - item[held_out]
    before, after = rewards(twelve), rewards(replace(twelve, item=item))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    item = twelve.item.copy()
    item[1] = 6  # ann's withheld row
    assert not torch.equal(rewards(replace(twelve, item=item))[0], before[0])


@pytest.mark.parametrize(
    ("text", "penalty"),
    [
        ("one two three four five six seven eight", 0),
        ("one two three", -0.25),  # 3 of at least 4 words
        ("a b c d e f g h i j", -0.25),  # 10 of at most 8
        ("we saw Toy Story again", -0.5),
        ("we saw a story about toys", 0),
        ("ha ha ha ha ha", -0.5),
        ("ha ha ha ha", 0),  # "ha ha ha" twice
        ("", -1),
        ("toy story", -1),  # -.5 for copying, -.5 for 2 of 4 words
        ("x x x x x x x x x x x x x x x x x toy story", -1),
    ],
)
def test_format_by_hand(text, penalty):
    assert Format(min_words=4, max_words=8).penalty(text, {"toy story"}) == pytest.approx(penalty)


def test_withheld_titles(twelve, twelve_split):
    train = twelve_split.train
    data = replace(
        world(),
        row_user=torch.from_numpy(twelve.user[train]).long(),
        row_item=torch.from_numpy(twelve.item[train]).long() + 3,
        visible=torch.from_numpy(twelve_split.visible[train]),
        withheld=~torch.from_numpy(twelve_split.visible[train]),
        title=["", "", "", "", "Toy Story", "Golden Eye", "Dead  Heat", "Alien", "Aliens", "Fargo"],
    )
    # ann's third row is withheld, item 3 in row 6 of the tables
    assert withheld_titles(data) == {0: {"dead heat"}, 5: {"dead heat"}, 6: {"golden eye"}}
    data.title[6] = "Golden Eye"  # a title of its own is no one else's
    assert withheld_titles(data) == {0: {"golden eye"}, 5: set(), 6: set()}


def test_a_fallback_counts_as_unusable():
    data = world()
    data.parsed[3, 1] = False
    got = Format(min_words=1, max_words=9).score(data, Space.of(data, None), rng())
    assert got.value[3].tolist() == [0, -1, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Collaborative(temperature=0),
        lambda: Distinct(negatives=1),
        lambda: Format(min_words=9, max_words=9),
    ],
)
def test_impossible_knobs_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_reward_data_has_only_training_rows():
    items = Items(["", "a", "b"], ["", "A", "B"], {})
    interactions = Interactions(
        np.array([0, 0, 1], np.int32), np.array([1, 2, 2], np.int32), np.arange(3), ["u", "v"], items, {}
    )
    split = Split(np.array([True, False, True]), np.array([True, False, True]), None, None)
    metadata = np.eye(3, 4, dtype=np.float32)[1:]
    vectors = Embeddings(Entities(2, 2), np.zeros((4, 1, 4), np.float32), True, metadata)
    flags = torch.ones(4, 1, dtype=torch.bool)
    data = reward_data(
        interactions, split, Profiles([["x"]] * 2, [["x"]] * 3, []), vectors, parsed=flags, device=torch.device("cpu")
    )
    assert data.row_item.tolist() == [2, 3]
    assert Space.of(data, None).centroid[:2].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
