"""MovieLens 100K: a hand-written miniature of its files, and the real ones out of their package."""

from __future__ import annotations

import pytest

from pte.dataset.recbole import RecBoleMovieLens
from pte.dataset.rules import Rules
from pte.schema import InputError

RATINGS = """user_id:token\titem_id:token\trating:float\ttimestamp:float
196\t2\t3\t881250949
22\t1\t3\t878887116
196\t1\t1\t881250948
22\t267\t2\t878887117
22\t3\t2\t878887118
"""
FILMS = """item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq
1\tToy Story\t1995\tAnimation Children's Comedy
2\tNet, The\t1995\tSci-Fi Thriller
267\tunkonwn\tunkonwn\tunknown
3\tLand Before Time III (1995)\tV\tAnimation Children's
4\tDouble vie de "V", La (Double Life of V, The)\t1991\tDrama
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ml-100k.inter").write_text(RATINGS)
    (tmp_path / "ml-100k.item").write_text(FILMS)
    return tmp_path


def movielens(source, *, sha256=None, source_sha256=None, expect=None, rules=None):
    return RecBoleMovieLens(
        name="MovieLens",
        source=str(source),
        source_sha256=source_sha256,
        sha256=sha256,
        licence="l",
        expect=expect,
        rules=rules or Rules(),
    )


def test_reads_titles_years_and_genres(folder):
    made = movielens(folder, rules=Rules(unseen_items="keep")).read()
    assert made.items.item_id == ["", "1", "2", "3", "4", "267"]
    assert made.items.title == [
        "",
        "Toy Story (1995)",
        "The Net (1995)",
        "Land Before Time III (1995)",
        'Double vie de "V", La (Double Life of V, The) (1991)',
        "Untitled item",
    ]
    assert made.items.text["year"] == ["", "1995", "1995", "1995", "1991", ""]
    assert made.items.text["genres"][1:3] == ["Animation, Children's, Comedy", "Sci-Fi, Thriller"]
    assert made.items.text["genres"][5] == ""
    assert made.user_id == ["22", "196"]
    assert [made.items.item_id[i] for i in made.item] == ["1", "267", "3", "1", "2"]


def test_a_pinned_file_is_compared_with_its_sha256(folder):
    pinned = {"ml-100k.inter": "0" * 64, "ml-100k.item": "0" * 64}
    data = movielens(folder, sha256=pinned)
    assert data.fingerprint() == pinned  # planning fetches nothing
    with pytest.raises(InputError, match=r"not the pinned file.*dataset.sha256=null"):
        data.read()


def test_a_missing_file_is_named(folder):
    (folder / "ml-100k.item").unlink()
    with pytest.raises(InputError, match=r"no ml-100k\.item"):
        movielens(folder).read()


@pytest.mark.assets
def test_the_real_files():
    config = {
        "source_sha256": "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        "sha256": {
            "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        },
        "expect": {"users": 943, "items": 1682, "interactions": 100000},
    }
    source = "pypi:recbole==1.2.1/recbole/dataset_example/ml-100k/"
    try:
        made = movielens(source, **config).read()
    except InputError as error:
        if "cannot get" not in str(error):
            raise
        pytest.skip(str(error))
    assert made.items.title[made.items.item_id.index("50")] == "Star Wars (1977)"
    assert made.card["items_sharing_a_title"] == 36  # GroupLens lists 18 films twice
    assert made.card["length"]["min"] == 20
    mini = movielens(source, **config, rules=Rules(max_items=120, max_users=60)).read()
    assert (mini.num_users, mini.num_items) == (60, 120)
    assert mini.card["items_sharing_a_title"] == 0
