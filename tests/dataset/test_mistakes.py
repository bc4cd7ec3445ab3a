"""Tables as users have them, and mutated ones: every row is read, counted as dropped, or the file refused."""

from __future__ import annotations

import gzip
import random
from contextlib import suppress
from decimal import Decimal

import polars as pl
import pytest

from pte.dataset.amazon import Amazon
from pte.dataset.custom import Custom
from pte.dataset.events import Choice
from pte.dataset.grouplens import GroupLens
from pte.dataset.reader.record import Records
from pte.dataset.rules import Rules
from pte.dataset.table.card import row_losses
from pte.dataset.yelp import Yelp, review
from pte.schema import InputError, Interactions

ITEMS = "item_id,title,brand\n" + "".join(f"{n},Title {n},Maker\n" for n in range(1, 9))
ROWS = "user_id,item_id,timestamp\n" + "".join(
    f"u{u},{1 + (u + k) % 8},{1600000000 + 100 * u + k}\n" for u in range(6) for k in range(4)
)


@pytest.fixture
def custom(tmp_path):
    def make(rows: str | bytes = ROWS, items: str | bytes = ITEMS, **knobs) -> Custom:
        for name, content in (("i.csv", rows), ("t.csv", items)):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        paths = {"interactions": str(tmp_path / "i.csv"), "items": str(tmp_path / "t.csv")}
        return Custom(**{"name": "mine", "licence": "mine", "rules": Rules(), **paths} | knobs)

    return make


def test_quotes_escaped_by_a_backslash(custom):
    rows = 'user_id,item_id,timestamp,review\nu,1,1,"a 7\\" disc"\nu,2,2,fine\nu,3,3,"a 12\\" disc"\nu,4,4,ok\n'
    assert len(custom(rows).read().item) == 4
    items = 'item_id,title\n1,"a 7\\""\n2,fine\n3,"a 12\\" disc"\n4,"say ""hi"""\n'
    assert custom(rows, items).read().items.title[1:] == ['a 7"', "fine", 'a 12" disc', 'say "hi"']


def test_a_missing_quote_is_refused_by_line(custom):
    with pytest.raises(InputError, match="line 3 reads as a row"):
        custom('user_id,item_id,timestamp,x\nu,1,1,"abc\nu,2,2,fine"\nu,3,3,ok\n').read()


def test_one_time_in_milliseconds_leaves_the_others(custom):
    made = custom("user_id,item_id,timestamp\nu,1,1600000000\nu,2,1600000001000\nu,3,1600000002\n").read()
    assert made.time.tolist() == [1600000000, 1600000001, 1600000002]
    assert made.card["counted"]["times in another unit than most, each read in its own"] == 1


@pytest.mark.parametrize(
    ("time", "form"),
    [("20190101", "%Y%m%d"), ("20190101.0", "%Y%m%d"), ('"19991231"', "%Y%m%d"), ("201901012359", "%Y%m%d%H%M"),
     ("20190101235959", "%Y%m%d%H%M%S")],
)  # fmt: skip
def test_a_date_written_as_a_whole_number_is_no_second(custom, time, form):
    rows = f"user_id,item_id,timestamp\nu,1,{time}\nu,2,{time}\n"
    with pytest.raises(InputError, match=rf"column 'timestamp' .* dataset\.time_format={form}, or"):
        custom(rows).read()
    year = time.strip('"')[:4]
    assert [day[:4] for day in custom(rows, time_format=form).read().card["dates"]] == [year, year]


@pytest.mark.parametrize("times", [(20190101, 20199999), (20231399, 20230000), (1600000000, 20190101)])
def test_numbers_that_are_no_dates_are_seconds(custom, times):
    made = custom("user_id,item_id,timestamp\n" + "".join(f"u,{n},{time}\n" for n, time in enumerate(times, 1))).read()
    assert sorted(made.time.tolist()) == sorted(times)


@pytest.mark.parametrize(("form", "time"), [("%Y%m%d", "20010909"), ("%d/%m/%Y", "09/09/2001")])
def test_a_stated_time_format(custom, form, time):
    made = custom(f"user_id,item_id,timestamp\nu,1,{time}\n", time_format=form).read()
    assert made.card["dates"] == ["2001-09-09", "2001-09-09"]


def test_dates_of_another_form_are_shown_and_not_all_dropped(custom):
    with pytest.raises(InputError, match=r"'09/09/2001'.*ISO dates.*dataset\.time_format") as caught:
        custom("user_id,item_id,timestamp\nu,1,09/09/2001\n").read()
    assert "malformed=drop" not in str(caught.value)


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolon"), ("\t", "tab"), (", ", "comma_space"), ("|", "pipe")])
def test_separators_are_named_and_taken(custom, mark, name):
    rows, items = ROWS.replace(",", mark), ITEMS.replace(",", mark)
    with pytest.raises(InputError, match=rf"dataset\.separator={name}"):
        custom(rows, items).read()
    assert len(custom(rows, items, separator=name).read().item) == 24
    assert len(custom(rows, separator=name).read().item) == 24  # the items table still has commas


@pytest.mark.parametrize("coded", [ROWS.encode("utf-16"), ROWS.replace("\n", "\r").encode(), (ROWS + "\n\n").encode()])
def test_encodings_and_line_ends(custom, coded):
    assert len(custom(coded).read().item) == 24


def test_what_is_no_table_is_named(custom, tmp_path):
    with pytest.raises(InputError, match="zip archive"):
        custom(b"PK\x03\x04rest").read()
    with pytest.raises(InputError, match="is a folder"):
        custom(interactions=str(tmp_path)).fingerprint()
    with pytest.raises(InputError, match=r"'title' more than once"):
        custom(items="item_id,title,title\n1,a,b\n").read()
    with pytest.raises(InputError, match=r"dataset\.text=\[item_id"):
        custom(text=["nope"]).read()


@pytest.mark.parametrize(
    ("knobs", "message"),
    [({"user_id": "item_id"}, r"dataset\.item_id=item_id: dataset\.user_id names the same column"),
     ({"timestamp": "item_id"}, r"dataset\.timestamp=item_id: dataset\.item_id names"),
     ({"position": "timestamp"}, r"dataset\.position=timestamp: dataset\.timestamp names"),
     ({"separator": "pipe"}, r"dataset\.separator=pipe: neither table's header holds it"),
     ({"separator": "\\t"}, r"dataset\.separator=\\t: neither table's header holds it"),
     ({"rating": "stars", "min_rating": 99}, r"Loosen dataset\.min_rating=99 or")],
)  # fmt: skip
def test_a_column_for_two_and_a_separator_for_none_are_refused(custom, knobs, message):
    rows = "user_id,item_id,timestamp,stars\nu,1,1,5\nu,2,2,4\n"
    with pytest.raises(InputError, match=message):
        custom(rows, **knobs).read()


def test_a_separator_typed_as_its_escape(custom):
    assert len(custom(ROWS.replace(",", "\t"), separator="\\t").read().item) == 24


def test_a_text_column_named_twice_is_read_once(custom):
    assert list(custom(text=["brand", "brand"]).read().items.text) == ["brand"]


def test_a_table_without_header_or_columns_is_reported(custom, tmp_path):
    with pytest.raises(InputError, match="Is its header row missing"):
        custom(ROWS.partition("\n")[2]).read()
    pl.DataFrame().write_parquet(tmp_path / "e.parquet")
    with pytest.raises(InputError, match="has no column 'user_id'"):
        custom(interactions=str(tmp_path / "e.parquet")).read()
    pl.DataFrame({"1": [1], "2": [2]}).write_parquet(tmp_path / "e.parquet")
    for rows in ({"rows": "who,item_id,2024\nu,1,3\n"}, {"interactions": str(tmp_path / "e.parquet")}):
        with pytest.raises(InputError, match="has no column 'user_id'") as caught:
            custom(**rows).read()
        assert "header row" not in str(caught.value)


def test_row_numbers_after_a_blank_line(custom):
    with pytest.raises(InputError, match=r"data row 2 \(line 4, no readable time in timestamp: 'soon'\)"):
        custom("user_id,item_id,timestamp\nu,1,1\n\nu,2,soon\nu,3,4\nu,4,5\n").read()


def test_a_field_that_begins_with_a_quote(custom):
    items = 'item_id,title\n1,"Heroes" live\n2,b\n'
    with pytest.raises(InputError, match=r"dataset\.quoting=none"):
        custom("user_id,item_id,timestamp\nu,1,1\n", items).read()
    assert custom("user_id,item_id,timestamp\nu,1,1\n", items, quoting="none").read().items.title[1] == '"Heroes" live'


def test_text_columns_tell_no_future(custom):
    items = ",item_id,title,brand,avg_rating,also_bought,num_sales,year\n"
    items += "0,1,Kite,Sky,4.5,A B,7,1995\n1,2,Ball,Round,3,C,8,1996\n"
    made = custom("user_id,item_id,timestamp\nu,1,1\nu,2,2\n", items).read()
    assert list(made.items.text) == ["brand"]
    assert set(made.card["text"]["left_out"]) == {"", "avg_rating", "also_bought", "num_sales", "year"}
    with_year = custom("user_id,item_id,timestamp\nu,1,1\nu,2,2\n", items, text=["year"]).read()
    assert with_year.items.text == {"year": ["", "1995", "1996"]}


def test_low_ratings_are_left_out(custom):
    rows = "user_id,item_id,timestamp,stars\nu,1,1,5\nu,2,2,2\nu,3,3,4\n"
    made = custom(rows, rating="stars", min_rating=4).read()
    assert len(made.item) == 2
    assert made.card["counted"]["rows rated below 4 left out"] == 1


def test_density_and_known_times(custom):
    card = custom("user_id,item_id,timestamp\nu,1,1\nu,1,2\nu,1,3\n").read().card
    assert card["density"] == 1.0


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"<!DOCTYPE html>\n", "a web page"), (b'{"user_id": "u"}\n', "JSON"), (b"version https://git-lfs/x\n", "Git LFS"),
     (gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), "gzip inside gzip"),
     (ROWS.replace("u3", "u\0").encode(), r"zero byte \(line 14\)")],
)  # fmt: skip
def test_what_is_no_table_of_text_is_named(custom, head, kind):
    with pytest.raises(InputError, match=kind):
        custom(head).read()


@pytest.mark.parametrize("time", [" 1600000000 ", "2020-09-13 12:26:40 UTC", "2020-09-13t12:26:40z"])
def test_ways_to_write_a_time(custom, time):
    assert custom(f"user_id,item_id,timestamp\nu,1,{time}\n").read().time.tolist() == [1600000000]


def test_a_stated_format_that_does_not_fit_is_named(custom):
    with pytest.raises(InputError, match=r"under dataset\.time_format=%d/%m/%Y: '2020-01-01'") as error:
        custom("user_id,item_id,timestamp\nu,1,2020-01-01\n", time_format="%d/%m/%Y").read()
    assert "ISO dates" not in str(error.value)


def test_ids_written_in_two_ways(custom):
    rows = "user_id,item_id,timestamp\n\u00e9,1,1\ne\u0301,1,1\nu,1,1\n u,1,1\n7,1,1\n7.0,1,1\n07,1,1\nNaN,1,1\n"
    made = custom(rows + "\\N,2,1\n1.23457E+12,2,1\n").read()
    assert made.num_users == 10
    counted = {name: count for name, count in made.card["counted"].items() if name.startswith("user ids")}
    assert list(counted.values()) == [3, 2, 1]
    with pytest.raises(InputError, match=r"'1\.0' may be the items table's '1'"):
        custom("user_id,item_id,timestamp\nu,1.0,1\n").read()
    with pytest.raises(InputError, match=r"data row 1 \(line 2, no user_id\)"):
        custom('user_id,item_id,timestamp\n" ",1,1\nu,1,2\nu,2,3\n').read()


def test_a_column_of_another_spelling_is_offered(custom):
    with pytest.raises(InputError, match=r"dataset\.user_id=UserID$"):
        custom("UserID,item_id,timestamp\nu,1,1\n").read()


@pytest.mark.parametrize(
    ("column", "message"),
    [(pl.Series([Decimal("12345678901234567890"), Decimal("12345678901234567891")]), None),
     (pl.Series([b"a", b"\xff"]), "holds Binary"), (pl.Series([{"a": 1}, {"a": 2}]), "holds Struct"),
     (pl.Series([[1], [2]]), "a row for each id"), (pl.Series(["a", " "]), "no user_id")],
)  # fmt: skip
def test_ids_of_parquet(custom, tmp_path, column, message):
    frame = pl.DataFrame({"user_id": column, "item_id": [1, 2], "timestamp": [5, 6]})
    frame.write_parquet(tmp_path / "e.parquet")
    data = custom(interactions=str(tmp_path / "e.parquet"))
    if message is None:
        assert data.read().user_id == ["12345678901234567890", "12345678901234567891"]
    else:
        with pytest.raises(InputError, match=message):
            data.read()


def mutated(text: str, draw: random.Random) -> bytes:
    raw = bytearray(text.encode())
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(raw))
        piece = draw.choice(
            [b'"', b'\\"', b",", b"\n", b"\r", b"\\", b"\xff", b"\x00", b"1e400", b"nan", b"\n\n", b"", b";"]
        )
        raw[at : at + draw.randint(0, 2)] = piece
    return bytes(raw)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_tables(custom, seed):
    draw = random.Random(seed)
    rules = Rules(malformed="drop", unknown_item="drop")
    read = 0
    for _ in range(60):
        raw = mutated(ROWS, draw)
        try:
            card = custom(raw, rules=rules).read().card
        except InputError:
            continue
        read += 1
        lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rows = sum(bool(line.strip()) for line in lines) - 1 - card["counted"]["lines inside quoted fields"]
        assert card["rows_in_file"] == rows
        assert card["interactions"] + row_losses(card["counted"]) == rows
    assert read > 5


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """Bytes of which a few are others, are gone, or follow no more."""
    copy = bytearray(raw)
    for _ in range(draw.randint(1, 3)):
        if not copy:
            break
        at = draw.randrange(len(copy))
        match draw.randrange(4):
            case 0:
                copy[at] = draw.randrange(256)
            case 1:
                del copy[at : at + draw.randint(1, 5)]
            case 2:
                copy[at:at] = draw.randbytes(draw.randint(1, 4))
            case _:
                copy = copy[:at]
    return bytes(copy)


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz"])
def test_damaged_files_are_read_whole_or_refused(custom, tmp_path, suffix):
    draw, file = random.Random(suffix), tmp_path / f"e{suffix}"
    pl.read_csv(ROWS.encode()).write_parquet(tmp_path / "e.parquet")
    if suffix == ".csv.gz":  # a name in its header, where damage changes nothing
        with file.open("wb") as raw, gzip.GzipFile("e" * 300, "wb", fileobj=raw, mtime=0) as packed:
            packed.write(ROWS.encode())
    whole = file.read_bytes()
    data = custom(rules=Rules(malformed="drop", unknown_item="drop"), interactions=str(file))
    right, read = rows_of(data.read()), 0
    for _ in range(150):
        file.write_bytes(damaged(whole, draw))
        try:
            found = data.read()
        except InputError:
            continue
        read += 1
        assert rows_of(found) == right
    assert 5 < read < 50


def rows_of(made: Interactions) -> tuple[list[str], list[str], list[int], list[int]]:
    return made.user_id, made.items.item_id, made.item.tolist(), made.time.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_mutated_tables_in_gzip(custom, tmp_path, seed):
    draw, file = random.Random(seed), tmp_path / "e.csv.gz"
    rules = Rules(malformed="drop", unknown_item="drop")
    for _ in range(40):
        raw = mutated(ROWS, draw)
        file.write_bytes(gzip.compress(raw, 1))
        plain, packed = (reading(custom(raw, rules=rules, **place)) for place in ({}, {"interactions": str(file)}))
        assert plain == packed


def reading(data: Custom) -> tuple[int, int] | str:
    """Rows of the file and rows used, or the kind of refusal."""
    try:
        card = data.read().card
    except InputError:
        return "refused"
    return card["rows_in_file"], card["interactions"]


def test_mutated_items_and_records(custom, tmp_path):
    draw = random.Random(1)
    line = '{"user_id": "u", "business_id": "b", "date": "2019-01-02", "stars": 4.0, "text": "\\ud83d"}\n'
    for _ in range(250):
        with suppress(InputError):
            custom(items=mutated(ITEMS, draw), rules=Rules(malformed="drop", unknown_item="drop")).read()
        raw = mutated(line * 6, draw)
        (tmp_path / "r.json").write_bytes(raw)
        records = Records(tmp_path / "r.json", review, max_malformed=99)
        try:
            good = len(list(records))
        except InputError:
            continue
        assert good + records.malformed == sum(bool(part.strip()) for part in raw.split(b"\n"))


AMAZON = '{"reviewerID": "u", "asin": "a", "unixReviewTime": %s, "overall": 5}\n'
YELP = '{"user_id": "u", "business_id": "b", "date": "%s", "stars": 4.0}\n'
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    f"{u},{1 + (u + k) % 8},{k % 5}.5,{1600000000 + 100 * u + k}\n" for u in range(1, 7) for k in range(4)
)
FILMS = "movieId,title,genres\n" + "".join(f'{n},"Title, The {n} (1999)",Drama|War\n' for n in range(1, 9))


@pytest.fixture
def published(tmp_path):
    """`published(kind, rows, items)`: a publisher's data set with these bytes for files."""

    def make(kind: str, rows: str | bytes, items: str = ""):
        usual = {"amazon": '{"asin": "a", "title": "T"}\n', "yelp": '{"business_id": "b", "name": "N"}\n', "ml": FILMS}
        for name, content in (("ratings.csv", rows), ("movies.csv", items or usual[kind])):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        places, licence, plan = [str(tmp_path / name) for name in ("ratings.csv", "movies.csv")], "", Rules()
        if kind == "ml":
            return GroupLens(
                name="x", layout="latest", data=None, source=str(tmp_path), sha256=None, licence=licence, expect=None,
                max_tags=0, choice=Choice(), rules=Rules(unknown_item="drop"),
            ).read()  # fmt: skip
        shared = {"data": None, "reviews": places[0], "licence": licence, "expect": None, "max_malformed": 5}
        shared |= {"choice": Choice(), "rules": plan}
        if kind == "yelp":
            return Yelp(businesses=places[1], first=None, last=None, **shared).read()
        return Amazon(edition=2014, category="x", metadata=places[1], sha256={}, description_chars=50, **shared).read()

    return make


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("amazon", AMAZON % 5 + AMAZON % 1600000000000), ("amazon", AMAZON % 5 + AMAZON % "true"),
     ("amazon", AMAZON % 5 + AMAZON % -1), ("yelp", YELP % "2019-01-02" + YELP % "1960-01-02"),
     ("yelp", YELP % "2019-01-02" + YELP % "2019-01-02T10:00:00")],
)  # fmt: skip
def test_a_time_that_cannot_be_is_a_malformed_line(published, kind, rows):
    card = published(kind, rows).card
    assert (card["interactions"], card["counted"]["malformed review lines skipped"]) == (1, 1)


@pytest.mark.parametrize(
    "line", ["x,y,z,w", ",,,", RATINGS.split("\n")[0], "1,1,4.0,1600000000000", "1,1,4.0,-5", "1,1,nan,5"]
)
def test_a_ratings_line_that_cannot_be_read_is_refused(published, line):
    assert len(published("ml", RATINGS + "\n\n").item) == 24  # blank lines are none
    with pytest.raises(InputError, match=r"malformed line.*first is line 27"):
        published("ml", f"{RATINGS}\n{line}\n")


def test_films(published):
    made = published("ml", RATINGS, FILMS + "1,Another (2000),War\n")
    assert made.items.title[1] == "Title, The 1"
    assert made.card["counted"]["repeated film lines left out (first kept)"] == 1
    with pytest.raises(InputError, match=r"record 9 .* too many fields"):
        published("ml", RATINGS, FILMS + "9,Matrix, The (1999),War\n")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(b'[{"a": 1}]\n', "one JSON text"), (b"[\n", "one JSON text"), (b'{\n "a": 1\n}\n', "one JSON text"),
     ((AMAZON % 5).encode("utf-16"), "UTF-16"), (b"PK\x03\x04rest", "zip archive")],
)  # fmt: skip
def test_records_of_another_form_are_named(published, raw, kind):
    with pytest.raises(InputError, match=kind):
        published("amazon", raw)


@pytest.mark.parametrize(
    ("kind", "text"), [("amazon", AMAZON % 5 * 6), ("yelp", YELP % "2019-01-02" * 6), ("ml", RATINGS)]
)
def test_mutated_publishers(published, kind, text):
    draw = random.Random(kind)
    read = 0
    for _ in range(100):
        raw = mutated(text, draw)
        try:
            card = published(kind, raw).card
        except InputError:
            continue
        read += 1
        rows = sum(bool(line.strip()) for line in raw.split(b"\n")) - (kind == "ml")
        assert card["rows_in_file"] == rows
        assert card["interactions"] + row_losses(card["counted"]) == rows
    assert read > 2


def test_lone_surrogates(published):
    made = published(
        "amazon", AMAZON % 5 + (AMAZON % 6).replace('"u"', '"\\ud83d"'), '{"asin": "a", "title": "Ki\\ud83dte"}\n'
    )
    assert made.items.title[1] == "Ki te"
    assert made.card["counted"]["malformed review lines skipped"] == 1


def test_parquet_of_every_kind(custom, tmp_path):
    frame = pl.DataFrame({"user_id": [1.0, float("inf"), 3.0], "item_id": [1, 2, 3], "timestamp": [1, 2, 3]})
    frame.write_parquet(tmp_path / "e.parquet")
    with pytest.raises(InputError, match=r"data row 2 \(no user_id\)"):
        custom(interactions=str(tmp_path / "e.parquet")).read()
    made = custom(interactions=str(tmp_path / "e.parquet"), rules=Rules(malformed="drop")).read()
    assert made.user_id == ["1", "3"]
    clock = frame.with_columns(timestamp=pl.Series([0, 1, 2]).cast(pl.Time))
    clock.write_parquet(tmp_path / "e.parquet")
    with pytest.raises(InputError, match="time of day lacks its date"):
        custom(interactions=str(tmp_path / "e.parquet")).read()
    things = pl.DataFrame({"item_id": [1, 2, 3], "title": ["a", "b", "c"], "x": [float("inf"), 1e19, 2.0]})
    things.write_parquet(tmp_path / "t.parquet")
    data = custom("user_id,item_id,timestamp\nu,1,1\nu,2,2\n", text=["x"])
    data.places["items"] = str(tmp_path / "t.parquet")
    assert data.read().items.text == {"x": ["", "", "1e+19"]}
