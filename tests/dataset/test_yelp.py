"""Yelp's own two files, written here with their oddities and read back."""

import gzip
import json

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.dataset.events import Choice
from pte.dataset.rules import Rules
from pte.dataset.yelp import Yelp, price_class, seconds
from pte.engine.build import construct
from pte.paths import CONF_DIR
from pte.schema import InputError


def review(user, business, date, stars=4.0):
    return {
        "review_id": "r" + user + business, "user_id": user, "business_id": business, "stars": stars, "useful": 0,
        "funny": 0, "cool": 0, "text": "Great\nplace \"really\" 寿司", "date": date,
    }  # fmt: skip


def business(key, name, **more):
    return {
        "business_id": key, "name": name, "address": "1 Main St", "city": "Las Vegas", "state": "NV",
        "postal_code": "89109", "latitude": 36.1, "longitude": -115.1, "stars": 4.5, "review_count": 7, "is_open": 1,
        "attributes": None, "categories": None, "hours": None, **more,
    }  # fmt: skip


REVIEWS = [
    review("-ann_", "b3", "2019-05-01 10:00:00"),
    review("-ann_", "b1", "2019-02-28 23:59:59", 1.0),
    review("-ann_", "b1", "2019-12-30 12:00:00"),
    review("-ann_", "b2", "2019-12-31 00:00:00"),
    review("-ann_", "b2", "2019-12-31 00:00:01"),
    review("-ann_", "b2", "2018-12-31 23:59:59"),
    review("bob", "b1", "2019-06-01"),
    review("bob", "b4", "2019-07-01 08:00:00"),
]


def range_of(value):
    return {"BusinessParking": "{'garage': False}", "RestaurantsPriceRange2": value}


BUSINESSES = [
    business("b1", "Joe&#39;s Sushi", categories="Sushi Bars, Japanese,  Food, Food", attributes=range_of("2")),
    business("b2", "Joe&#39;s Sushi", categories=["Gyms", "Fitness"], city="", attributes=range_of("u'4'")),
    business("b3", "  ", categories="Parks", attributes=range_of("None")),
    business("b1", "a second line", categories="Other"),
    business("b9", "never reviewed"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    paths = {"reviews": tmp_path / "review.json", "businesses": tmp_path / "business.json.gz"}
    paths["reviews"].write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in REVIEWS), encoding="utf-8")
    paths["businesses"].write_bytes(gzip.compress("".join(json.dumps(b) + "\n" for b in BUSINESSES).encode()))
    return {role: str(path) for role, path in paths.items()}


def reader(**knobs) -> Yelp:
    settings = {
        "data": None, "reviews": None, "businesses": None, "first": None, "last": None, "licence": "Yelp's own",
        "expect": None, "max_malformed": 0, "choice": Choice(), "rules": Rules(unknown_item="placeholder"),
    }  # fmt: skip
    return Yelp(**{**settings, **knobs})


def histories(made) -> dict[str, list[str]]:
    rows = [made.item[made.start[u] : made.start[u + 1]] for u in range(made.num_users)]
    return {made.user_id[u]: [made.items.item_id[i] for i in row] for u, row in enumerate(rows)}


def test_every_review_in_time_order_with_repeat_visits(files):
    made = reader(**files).read()
    assert histories(made) == {"-ann_": ["b2", "b1", "b3", "b1", "b2", "b2"], "bob": ["b1", "b4"]}
    assert made.user_id == ["bob", "-ann_"]
    assert made.time[0] == 1559347200, "2019-06-01 alone is its midnight, UTC"
    assert made.card["repeated_pairs"] == 3
    assert made.card["counted"]["repeated business lines left out (first kept)"] == 1
    text = dict(zip(made.items.item_id, zip(made.items.title, *made.items.text.values(), strict=True), strict=True))
    assert list(made.items.text) == ["categories", "city", "price"]
    assert text["b1"] == ("Joe's Sushi", "Sushi Bars, Japanese, Food", "Las Vegas, NV", "moderate")
    assert text["b2"] == ("Joe's Sushi", "Gyms, Fitness", "NV", "very expensive")
    assert text["b3"][0] == "Parks", "a blank name: the other text stands in"
    assert text["b4"][0] == "Untitled item"
    assert made.card["items_sharing_a_title"] == 2, "a chain"


def test_a_range_of_dates_is_inclusive_as_text(files):
    made = reader(**files, first="2019-01-01 00:00:00", last="2019-12-31 00:00:00").read()
    assert histories(made)["-ann_"] == ["b1", "b3", "b1", "b2"]
    assert made.card["counted"]["reviews outside first..last left out"] == 2
    assert histories(reader(**files, first="2019-12-31", last="2020-01-01").read()) == {"-ann_": ["b2", "b2"]}
    with pytest.raises(InputError, match="or out of range"):
        reader(**files, first="2021-01-01").read()


def test_repeats_and_ratings_by_choice(files):
    first = reader(**files, choice=Choice(repeats="first")).read()
    assert histories(first)["-ann_"] == ["b2", "b1", "b3"]
    last = reader(**files, choice=Choice(repeats="last", min_rating=2)).read()
    assert histories(last)["-ann_"] == ["b3", "b1", "b2"]
    assert last.card["counted"]["rows rated below 2 left out"] == 1


def test_unknown_businesses_and_the_core(files):
    made = reader(**files, rules=Rules(unknown_item="drop")).read()
    assert histories(made)["bob"] == ["b1"]
    assert made.card["counted"]["rows of unknown items dropped"] == 1
    core = reader(**files, rules=Rules(k_core=2, unknown_item="drop")).read()
    assert histories(core) == {"-ann_": ["b2", "b1", "b1", "b2", "b2"]}


def test_malformed_reviews_are_counted_or_refused(files, tmp_path):
    bad = [review("", "b1", "2019-05-01"), review("cy", "b1", "01/05/2019"), review("cy", "b1", "2019-02-30")]
    path = tmp_path / "bad.json"
    path.write_text("".join(json.dumps(r) + "\n" for r in [*bad, *REVIEWS]))
    made = reader(**{**files, "reviews": str(path)}, max_malformed=3).read()
    assert made.card["counted"]["malformed review lines skipped"] == 3
    with pytest.raises(InputError, match=r"max_malformed=2 .* line 1 \(ValueError: user_id is ''"):
        reader(**{**files, "reviews": str(path)}, max_malformed=2).read()
    with pytest.raises(InputError, match="2019-01-01"):
        reader(first="1 Jan 2019")
    path.write_text(json.dumps(business("zz", "of another edition")) + "\n")
    with pytest.raises(InputError, match="same edition"):
        reader(**{**files, "businesses": str(path)}).read()


def test_price_classes():
    values = ["1", "u'2'", "'3'", 4, "None", None, "9"]
    assert [price_class({"attributes": range_of(v)}) for v in values] == [
        "inexpensive", "moderate", "expensive", "very expensive", "", "", "",
    ]  # fmt: skip
    assert price_class({}) == price_class({"attributes": None}) == ""
    assert seconds("1970-01-02 00:00:01") == 86401


def option(*overrides):
    with initialize_config_dir(str(CONF_DIR), version_base=None):
        config = compose("dataset/YelpReviews", overrides=["+paths.data=null", *overrides])
    return construct(OmegaConf.to_container(config, resolve=True)["dataset"], "conf/dataset")


def test_the_option_says_what_to_download_and_where_to_put_it(tmp_path, files):
    with pytest.raises(
        InputError, match=r"agreement.*dataset_review\.json.* into YelpReviews/ in a folder that PTE_DATA"
    ):
        option().fingerprint()
    with pytest.raises(InputError, match=rf"into {tmp_path}/YelpReviews"):
        option(f"paths.data={tmp_path}").fingerprint()
    folder = tmp_path / "YelpReviews"
    folder.mkdir()
    for role, name in {"reviews": "review.json", "businesses": "yelp_academic_dataset_business.json"}.items():
        (folder / name).symlink_to(files[role])
    found = option(f"paths.data={tmp_path}", "dataset.rules.k_core=1")
    assert set(found.fingerprint()) == {"reviews", "businesses"}
    assert histories(found.read())["-ann_"] == ["b1", "b3", "b1", "b2"], "2019 as S3-Rec cuts it"
