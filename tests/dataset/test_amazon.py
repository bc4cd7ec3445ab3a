"""Files of exactly the publishers' layouts, with their known oddities, written here and read back."""

import gzip
import json
import os
import random
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.dataset.amazon import Amazon, literal
from pte.dataset.events import Choice
from pte.dataset.reader.record import lines
from pte.dataset.rules import Rules
from pte.engine.build import construct
from pte.paths import CONF_DIR
from pte.schema import InputError
from pte.stage.interactions import card_lines

DAY = 86400


def review(user: str, item: str, day: int, rating: float = 5.0, **more) -> dict:
    """A record of the 2014 and 2018 editions, keys in the publisher's order."""
    return {
        "reviewerID": user, "asin": item, "reviewerName": 'J. "Jo" McDonald', "helpful": [2, 3],
        "reviewText": "Good, isn't it?\\n", "overall": rating, "summary": "ok", "unixReviewTime": day * DAY,
        "reviewTime": "09 13, 2009", **more,
    }  # fmt: skip


def write(path: Path, records: list, dump=json.dumps) -> str:
    text = "".join(r if isinstance(r, str) else dump(r) + "\n" for r in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def reader(reviews: str, metadata: str, **knobs) -> Amazon:
    settings = {
        "edition": 2014, "category": "Toys_and_Games", "data": None, "reviews": reviews, "metadata": metadata,
        "sha256": {"reviews": None, "metadata": None}, "licence": "research", "expect": None, "max_malformed": 10,
        "description_chars": 30, "choice": Choice(ties="item_id"), "rules": Rules(unknown_item="placeholder"),
    }  # fmt: skip
    return Amazon(**{**settings, **knobs})


META_2014 = [
    {
        "asin": "B2", "related": {"also_bought": ["B1", "B9"]}, "title": "Hasbro &quot;Clue&quot;", "price": 9.99,
        "brand": "Hasbro", "categories": [["Toys & Games", "Games", "Board Games"], ["Toys & Games", "Puzzles"]],
        "description": "Who did it?<br />Where,\n and  with <b>what</b>? Find out &amp;amp; win it all",
    },
    {"asin": "B1", "imUrl": "http://x/y.jpg", "salesRank": {"Toys & Games": 7}, "categories": [["Toys & Games"]]},
    {"asin": "B9", "title": "never reviewed", "categories": [["Toys & Games"]]},
    {"asin": "B1", "title": "It's a duplicate", "brand": "", "price": 4.0, "categories": [["Other"]]},
    {"asin": "B3", "title": "", "categories": [["Toys & Games", "Cards"]]},
]  # fmt: skip
REVIEWS = [
    review("ann", "B1", 1), review("bob", "B1", 1), review("ann", "B2", 3, 2.0), review("bob", "B2", 2),
    review("bob", "B3", 2), review("ann", "B4", 4),
]  # fmt: skip


@pytest.fixture
def toys(tmp_path) -> tuple[str, str]:
    """Three described items and a fourth, B4, that the metadata lacks; the metadata in Python literals."""
    return (
        write(tmp_path / "reviews_Toys_and_Games_5.json.gz", REVIEWS),
        write(tmp_path / "meta_Toys_and_Games.json.gz", META_2014, dump=repr),
    )


def histories(made) -> dict[str, list[str]]:
    rows = [made.item[made.start[u] : made.start[u + 1]] for u in range(made.num_users)]
    return {made.user_id[u]: [made.items.item_id[i] for i in row] for u, row in enumerate(rows)}


def test_a_2014_category_is_read_back(toys):
    made = reader(*toys).read()
    assert histories(made) == {"ann": ["B1", "B2", "B4"], "bob": ["B1", "B2", "B3"]}
    assert made.time.tolist() == [DAY, 3 * DAY, 4 * DAY, DAY, 2 * DAY, 2 * DAY]
    text = dict(zip(made.items.item_id, zip(made.items.title, *made.items.text.values(), strict=True), strict=True))
    assert list(made.items.text) == ["brand", "categories", "price", "description"]
    assert text["B2"] == (
        'Hasbro "Clue"', "Hasbro", "Toys & Games > Games > Board Games | Toys & Games > Puzzles", "$5 to $10",
        "Who did it? Where, and with",
    )  # fmt: skip
    # The first line of B1 has no title and no price: the second line's stand in; its categories keep the first.
    assert text["B1"] == ("It's a duplicate", "", "Toys & Games", "under $5", "")
    assert text["B3"][0] == "Toys & Games > Cards", "an empty title: the item's other text, by rules.untitled"
    assert text["B4"][0] == "Untitled item", "no metadata: kept by rules.unknown_item=placeholder"
    counted = made.card["counted"]
    assert counted["repeated metadata lines merged (first non-empty value kept)"] == 1
    assert counted["items absent from the items table, kept without text"] == 1
    assert counted["untitled items given their other text as title"] == 2
    assert "B9" not in made.items.item_id


def test_the_card_holds_what_a_reader_of_results_asks_for(toys):
    made = reader(*toys).read()
    card = made.card
    assert (card["users"], card["items"], card["interactions"], card["density"]) == (2, 4, 6, 0.75)
    assert card["name"] == "Amazon 2014 Toys_and_Games"
    assert card["coverage"]["title"] == 0.5
    assert card["coverage"]["price"] == 0.5
    assert card["length"]["median"] == 3
    assert {k: len(v) for k, v in card["sha256"].items()} == {"reviews": 64, "metadata": 64}
    assert card["tied_last_pairs"] == 0.5, "bob's last two share a day"
    assert json.loads(json.dumps(card)) == card
    assert any("repeated metadata lines" in line for line in card_lines(card))


def test_unknown_items_are_dropped_and_counted_by_rule(toys):
    made = reader(*toys, rules=Rules(unknown_item="drop")).read()
    assert histories(made)["ann"] == ["B1", "B2"]
    assert made.card["counted"]["rows of unknown items dropped"] == 1


def test_low_ratings_are_left_out_on_request_only(toys):
    made = reader(*toys, choice=Choice(min_rating=3)).read()
    assert histories(made)["ann"] == ["B1", "B4"]
    assert made.card["counted"]["rows rated below 3 left out"] == 1
    with pytest.raises(InputError, match="min_rating"):
        reader(*toys, choice=Choice(min_rating=6)).read()


def test_equal_days_are_ordered_by_item_code_or_by_the_file(tmp_path, toys):
    reviews = write(tmp_path / "r.json", [review("ann", item, 1) for item in ("B3", "B1", "B2")])
    assert histories(reader(reviews, toys[1]).read())["ann"] == ["B1", "B2", "B3"]
    assert histories(reader(reviews, toys[1], choice=Choice()).read())["ann"] == ["B3", "B1", "B2"]


def test_k_core_by_hand(tmp_path, toys):
    """d has one row; without it B3 has one; without that c has one; a and b with B1 and B2 remain: a single pass
    over the first counts would keep c and B3."""
    pairs = ["a B1", "a B2", "b B1", "b B2", "c B2", "c B3", "d B3"]
    reviews = write(tmp_path / "r.json", [review(*pair.split(), day) for day, pair in enumerate(pairs)])
    rules = Rules(k_core=2, unknown_item="placeholder")
    made = reader(reviews, toys[1], rules=rules).read()
    assert histories(made) == {"a": ["B1", "B2"], "b": ["B1", "B2"]}
    assert made.card["counted"]["rows outside the 2-core dropped"] == 3
    assert made.items.num_items == int(made.item.max()) == 2, "ids are given after all filtering"
    with pytest.raises(InputError, match=r"lower dataset\.rules\.k_core"):
        reader(reviews, toys[1], rules=Rules(k_core=3)).read()


def test_core_taken_early_changes_nothing(tmp_path, toys):
    """Dropping an item after the early core: the core of the rest, as if nothing had been taken early."""
    pairs = ["a B1", "a B2", "a B4", "b B1", "b B2", "b B4", "c B4", "c B2"]
    reviews = write(tmp_path / "r.json", [review(*pair.split(), day) for day, pair in enumerate(pairs)])
    rules = Rules(k_core=2, unknown_item="drop")
    early = reader(reviews, toys[1], rules=rules).read()
    late = reader(reviews, toys[1], rules=rules, expect={}).read()
    assert histories(early) == histories(late) == {"a": ["B1", "B2"], "b": ["B1", "B2"]}


def test_published_counts_are_checked_on_the_whole_file(toys):
    published = {"users": 2, "items": 4, "interactions": 6}
    made = reader(*toys, expect=published, rules=Rules(k_core=2, unknown_item="placeholder")).read()
    assert histories(made) == {"ann": ["B1", "B2"], "bob": ["B1", "B2"]}
    with pytest.raises(InputError, match="expect=null"):
        reader(*toys, expect={"users": 3}).read()


META_2018 = [
    {
        "category": ["Toys & Games", "Games", "</span></span></span>"], "tech1": "", "asin": "B1", "main_cat": "Toys",
        "description": ["", "A <i>fine</i>&nbsp;game.", "Second"], "title": "<span class=x>Clue&#39;s</span>",
        "brand": "Hasbro", "feature": ["2 players", "Fun &lt; 5 min"], "price": "$1,012.99", "also_buy": ["B2"],
    },
    {"category": [], "asin": "B2", "title": "var aPageStart = (new Date()).getTime();", "main_cat": "Toys &amp; Games",
     "price": ".a-box-inner{background-color:#fff}#alohaBuyBoxWidget .selected{color:#1}", "description": []},
    {"category": ["Toys & Games"], "asin": "B2", "title": "Risk", "price": "$5.00 - $12.00"},
    {"category": ["Toys & Games"], "asin": "B3", "title": "Go"},
]  # fmt: skip


def test_a_2018_category_with_page_junk_and_repeated_reviews(tmp_path):
    rows = [
        review("ann", "B1", 1, verified=True, style={"Size:": " Large"}), review("ann", "B1", 1),
        review("ann", "B2", 2), review("ann", "B1", 3), review("ann", "B3", 4),
    ]  # fmt: skip
    files = write(tmp_path / "Toys_5.json.gz", rows), write(tmp_path / "meta_Toys.json.gz", META_2018)
    made = reader(*files, edition=2018, choice=Choice(repeats="first")).read()
    assert histories(made) == {"ann": ["B1", "B2", "B3"]}
    assert made.card["counted"]["repeats of one user about one item left out (first kept)"] == 2
    assert made.items.title[1:] == ["Clue's", "Risk", "Go"]
    assert made.items.text["categories"][1:] == ["Toys & Games > Games", "Toys & Games", "Toys & Games"]
    assert made.items.text["price"][1:] == ["$1000 and more", "$5 to $10", ""]
    assert made.items.text["description"][1] == "A fine game. Second"
    assert made.items.text["features"][1] == "2 players Fun < 5 min"
    last = reader(*files, edition=2018, choice=Choice(repeats="last")).read()
    assert histories(last) == {"ann": ["B2", "B1", "B3"]}
    every = reader(*files, edition=2018, choice=Choice()).read()
    assert histories(every) == {"ann": ["B1", "B2", "B1", "B3"]}, "an exact duplicate is one event in any case"
    assert every.card["repeated_pairs"] == 1


def test_a_2023_category_with_milliseconds_and_parents(tmp_path):
    def row(user, parent, time, rating=5.0):
        return {
            "rating": rating, "title": "of the review", "text": "t", "images": [], "asin": "X" + parent,
            "parent_asin": parent, "user_id": user, "timestamp": time, "helpful_vote": 0, "verified_purchase": True,
        }  # fmt: skip

    start = 1_588_687_728_000
    rows = [row("ann", parent, start + late) for parent, late in [("B3", 900), ("B1", 0), ("B2", 1), ("B1", 5)]]
    meta = [
        {"main_category": "All Beauty", "title": "Sea Salt Spray", "average_rating": 4.8, "features": ["Vegan"],
         "description": ["Beach hair."], "price": 10.0, "store": "Yes To", "categories": [], "details": {"UPC": "617"},
         "parent_asin": "B1", "bought_together": None},
        {"main_category": None, "title": None, "features": [], "description": [], "price": None, "store": None,
         "categories": ["Beauty", "Hair"], "details": "{}", "parent_asin": "B2"},
        {"main_category": "All Beauty", "title": "Brush", "price": "from 14.99", "categories": [], "parent_asin": "B3"},
    ]  # fmt: skip
    files = write(tmp_path / "Beauty.jsonl", rows), write(tmp_path / "meta_Beauty.jsonl", meta)
    made = reader(*files, edition=2023, choice=Choice(repeats="first")).read()
    assert histories(made) == {"ann": ["B1", "B2", "B3"]}, "ordered within one second, the earliest of B1 kept"
    assert made.time.tolist() == [1_588_687_728] * 3
    assert made.items.title[1:] == ["Sea Salt Spray", "Beauty > Hair", "Brush"]
    assert made.items.text["brand"][1:] == ["Yes To", "", ""]
    assert made.items.text["price"][1:] == ["$10 to $25", "", "$10 to $25"]
    assert made.items.text["categories"][1:] == ["All Beauty", "Beauty > Hair", "All Beauty"]


def test_malformed_lines_are_counted_up_to_the_tolerance(tmp_path, toys):
    bad = ["not json\n", '{"reviewerID": "x"}\n', json.dumps(review("", "B1", 1)) + "\n"]
    bad += [json.dumps(review("cy", "B1", -1)) + "\n", '["a", "list"]\n', "\n", '{"unixReviewTime": 1e999}\n']
    reviews = write(tmp_path / "r.json.gz", [REVIEWS[0], *bad, *REVIEWS[1:]])
    made = reader(reviews, toys[1], max_malformed=6).read()
    assert made.card["counted"]["malformed review lines skipped"] == 6, "the blank line is no record"
    assert len(made.item) == 6
    with pytest.raises(InputError, match=r"max_malformed=5 malformed lines; the first is line 2 \(JSON"):
        reader(reviews, toys[1], max_malformed=5).read()
    code = "{'asin': 'B1', 'title': __import__('os').getcwd()}\n"
    meta = write(tmp_path / "m.json", [*META_2014, code], dump=repr)
    assert reader(toys[0], meta).read().card["counted"]["malformed metadata lines skipped"] == 1
    with pytest.raises(InputError, match="no field 'timestamp'"):
        reader(*toys, edition=2023, max_malformed=0).read()


def test_truncated_and_damaged_files_are_refused(tmp_path, toys):
    whole = Path(toys[0]).read_bytes()
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"cut.json.gz is truncated"):
        reader(str(cut), toys[1]).read()
    cut.write_bytes(whole[:40] + b"\x00\x01\x02\x03" + whole[44:])
    with pytest.raises(InputError, match=r"is damaged|is truncated"):
        reader(str(cut), toys[1]).read()
    plain_file = tmp_path / "cut.json"
    plain_file.write_text(json.dumps(REVIEWS[0]) + "\n" + json.dumps(REVIEWS[1])[:50])
    with pytest.raises(InputError, match=r"truncated: its last line, 2"):
        reader(str(plain_file), toys[1]).read()
    plain_file.write_text("")
    with pytest.raises(InputError, match="holds no record"):
        reader(str(plain_file), toys[1]).read()
    with pytest.raises(InputError, match="none of the reviewed items"):
        reader(toys[0], write(tmp_path / "m.json", [{"asin": "Z", "title": "z"}], dump=repr)).read()


def test_reviews_are_read_in_bounded_memory(tmp_path):
    """20 MB of review text pass through; what is held is a few lines and the kept columns."""
    rows = [review(f"u{n % 50}", f"B{n % 70}", n, reviewText="x" * 4000) for n in range(5000)]
    path = Path(write(tmp_path / "big.json.gz", rows))
    assert sum(len(line) for _, line in lines(path)) > 20e6
    one = reader(str(path), "")
    tracemalloc.start()
    try:
        one._rows(path, {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2e6


def test_a_literal_is_data_never_code():
    assert literal(b"{'a': \"it's\", 'b': [1.5, None, True]}\n") == {"a": "it's", "b": [1.5, None, True]}
    assert literal(b'{"a": null}') == {"a": None}
    with pytest.raises(ValueError, match="malformed"):
        literal(b"{'a': open('/etc/passwd')}")


def test_bad_knobs_name_what_is_allowed(toys):
    for wrong, message in [({"edition": 2015}, "2014, 2018, 2023"), ({"reviews": "/no/such"}, "no such file")]:
        with pytest.raises(InputError, match=message):
            reader(**{**dict(zip(("reviews", "metadata"), toys, strict=True)), **wrong}).read()
    with pytest.raises(InputError, match="keep, first, last"):
        Choice(repeats="all")
    with pytest.raises(InputError, match="file, item_id"):
        Choice(ties="random")


def option(name: str, *overrides: str) -> dict:
    """The config group `dataset` as a run composes it."""
    with initialize_config_dir(str(CONF_DIR), version_base=None):
        config = compose(f"dataset/{name}", overrides=["+paths.data=null", *overrides])
    return OmegaConf.to_container(config, resolve=True)["dataset"]


@pytest.mark.parametrize(
    "name", ["Amazon2014", "Amazon2014Toys", "Amazon2014Sports", "Amazon2014Beauty", "Amazon2014Movies", "Movies",
             "Beauty", "Amazon2018", "Amazon2023"],
)  # fmt: skip
def test_every_option_builds_its_reader(name):
    values = option(name)
    made = construct(values, "conf/dataset")
    assert isinstance(made, Amazon)
    assert made.rules.k_core == 5
    assert values["category"] in values["reviews"]
    assert values["category"] in values["metadata"]
    assert (values["expect"] is None) == (name in ("Amazon2014", "Amazon2018", "Amazon2023"))


def test_an_option_reads_files_from_the_data_folder_or_a_given_path(tmp_path, toys):
    folder = tmp_path / "data" / "Amazon2014"
    folder.mkdir(parents=True)
    for file in toys:
        (folder / Path(file).name).write_bytes(Path(file).read_bytes())
    unpacked = folder / "meta_Toys_and_Games.json"
    unpacked.write_bytes(gzip.decompress(Path(toys[1]).read_bytes()))
    (folder / "meta_Toys_and_Games.json.gz").unlink()
    rules = ["dataset.rules.k_core=1", "dataset.expect=null"]
    found = construct(option("Amazon2014Toys", f"paths.data={tmp_path}/data", *rules), "conf/dataset")
    assert found.paths() == {"reviews": folder / Path(toys[0]).name, "metadata": unpacked}
    given = [f"dataset.reviews={toys[0]}", f"dataset.metadata={toys[1]}"]
    made = construct(option("Movies", *given, *rules), "conf/dataset").read()
    assert len(made.item) == 6


def test_without_file_and_network_one_line_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_CACHE", str(tmp_path))
    values = option("Amazon2014Toys", "dataset.reviews=https://localhost:9/reviews_Toys_and_Games_5.json.gz")
    with pytest.raises(InputError, match="reviews_Toys_and_Games_5") as error:
        construct(values, "conf/dataset").fingerprint()
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("type dataset.reviews=/its/path")


@pytest.mark.real_data
def test_toys_written_in_the_2014_layout_comes_back_with_the_published_counts(tmp_path):
    """19,412 / 11,924 / 167,597 from shuffled lines, and the published order of every fully timed history."""
    if "PTE_DATA" not in os.environ:
        pytest.skip("PTE_DATA is not set: the prepared tables are not here")
    source = Path(os.environ["PTE_DATA"]) / "Toys"
    texts = {"item_id": pl.String, "user_id": pl.String}
    items = pl.read_csv(source / "items.csv.gz", schema_overrides=texts)
    rows = pl.read_csv(source / "interactions.csv.gz", schema_overrides=texts).join(items, on="item_id")
    rows = rows.sort(pl.col("user_id").cast(pl.Int64), "position")
    known = rows.with_columns(pl.col("timestamp").fill_null(strategy="forward").over("user_id").fill_null(0))
    reviews = [
        {**review(f"A{user}", asin, 0), "unixReviewTime": time}
        for user, asin, time in known.select("user_id", "asin", "timestamp").iter_rows()
    ]
    random.Random(0).shuffle(reviews)
    meta = [
        {"asin": asin, "title": title or "", "categories": [path.split(" > ") for path in (paths or "").split(" | ")]}
        for asin, title, paths in items.select("asin", "title", "categories").iter_rows()
    ]
    write(tmp_path / "r.json", reviews)
    write(tmp_path / "m.json.gz", meta, dump=repr)
    values = option("Amazon2014Toys", f"dataset.reviews={tmp_path}/r.json", f"dataset.metadata={tmp_path}/m.json.gz")
    made = construct(values, "conf/dataset").read()
    assert (made.num_users, made.num_items, len(made.item)) == (19412, 11924, 167597)
    assert made.card["counted"]["rows outside the 5-core dropped"] == 0
    timed = rows.group_by("user_id").agg(pl.col("timestamp").null_count() == 0).filter("timestamp")["user_id"]
    expected = rows.filter(pl.col("user_id").is_in(timed.to_list())).group_by("user_id").agg("asin")
    found = histories(made)
    assert len(expected) > 18000
    assert all(found[f"A{user}"] == asins for user, asins in expected.iter_rows())
