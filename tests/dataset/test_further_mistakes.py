"""More of what tables hold: other kinds of columns, headers that look right, units, publishers' files edited."""

from __future__ import annotations

import base64
import random
import re
from pathlib import Path

import polars as pl
import pytest

from pte.dataset.amazon import Amazon
from pte.dataset.custom import Custom
from pte.dataset.events import Choice
from pte.dataset.grouplens import GroupLens
from pte.dataset.reader.moment import seconds
from pte.dataset.reader.source import read_whole
from pte.dataset.rules import Rules
from pte.dataset.table.card import row_losses
from pte.dataset.yelp import Yelp
from pte.schema import InputError

HEADER = "user_id,item_id,timestamp\n"
ROWS = HEADER + "u,1,1600000000\nu,2,1600000001\nv,1,1600000002\n"
ITEMS = "item_id,title,brand\n1,Kite,Sky\n2,Ball,Round\n"
NOW = 1600000000


@pytest.fixture
def custom(tmp_path):
    """custom(interactions, items, **knobs): the data set over bytes, text or a frame (as Parquet)."""

    def place(name: str, content: str | bytes | pl.DataFrame) -> str:
        if isinstance(content, pl.DataFrame):
            content.write_parquet(tmp_path / f"{name}.parquet")
            return str(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path / f"{name}.csv")

    def make(rows=ROWS, items=ITEMS, **knobs) -> Custom:
        places = {"interactions": place("i", rows), "items": place("t", items)}
        return Custom(**{"name": "mine", "licence": "mine", "rules": Rules(), **places} | knobs)

    return make


def events(**columns) -> pl.DataFrame:
    return pl.DataFrame({"user_id": ["u", "v"], "item_id": [1, 2], "timestamp": [NOW, NOW + 1], **columns})


def zone_in_file(path: Path, zone: bytes) -> None:
    """Put the zone in the place of "Poland" into the schema that Arrow writes beside Parquet's own, in base64."""
    raw = path.read_bytes()
    schema = re.search(rb"[A-Za-z0-9+/]{100,}={0,2}", raw)
    assert schema
    path.write_bytes(raw.replace(schema[0], base64.b64encode(base64.b64decode(schema[0]).replace(b"Poland", zone))))


@pytest.mark.parametrize("zone", [b"+05:30", b"Mars/1"])
def test_a_zone_without_a_name_is_read_in_utc(custom, monkeypatch, zone):
    monkeypatch.delenv("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", raising=False)
    moment = pl.Series([NOW * 1000, NOW * 1000 + 1000]).cast(pl.Datetime("ms", "Poland"))
    data = custom(events(timestamp=moment), pl.DataFrame({"item_id": [1, 2], "title": ["a", "b"], "made": moment}))
    for place in data.places.values():
        zone_in_file(Path(place), zone)
    assert data.read().time.tolist() == [NOW, NOW + 1]


@pytest.mark.parametrize(
    ("column", "message"),
    [({"user_id": pl.Series([2**24, 2**24 + 2], dtype=pl.Float32)}, "'user_id' holds ids as Float32, which rounds"),
     ({"item_id": [1.0, 2.0**53 + 2]}, "'item_id' holds ids as Float64, which rounds"),
     ({"timestamp": pl.Series([NOW, NOW + 1], dtype=pl.Float32)}, "'timestamp' holds times as Float32, which rounds")],
)  # fmt: skip
def test_numbers_that_a_float_has_rounded_are_refused(custom, column, message):
    with pytest.raises(InputError, match=message):
        custom(events(**column)).read()


def test_floats_that_are_exact_are_ids(custom):
    made = custom(events(user_id=pl.Series([1.0, 2**24], dtype=pl.Float32), item_id=[1.0, 2.0])).read()
    assert made.user_id == ["1", "16777216"]


@pytest.mark.parametrize("column", [[[["a"]], None], [[{"a": 1}], None], [[b"\xff"], None]])
def test_a_nested_column_is_no_text_unless_requested(custom, column):
    items = pl.DataFrame({"item_id": [1, 2], "title": ["a", "b"], "more": column})
    made = custom(events(), items).read()
    assert made.card["text"] == {"taken": [], "left_out": {"more": "List values, no text"}}
    with pytest.raises(InputError, match="'more' holds List"):
        custom(events(), items, text=["more"]).read()


@pytest.mark.parametrize("rows", [HEADER, events().head(0)])
def test_a_table_without_rows_is_named(custom, rows):
    with pytest.raises(InputError, match=r"dataset\.interactions=.* has a header and no row"):
        custom(rows).read()
    with pytest.raises(InputError, match=r"dataset\.items=.* has a header and no row"):
        custom(ROWS, "item_id,title\n").read()


@pytest.mark.parametrize(
    "header",
    [" user_id,item_id\t,timestamp ", "\u200buser_id,\u00a0item_id,timestamp", "\ufeff\ufeffuser_id,item_id,timestamp",
     '"user_id ",item_id,"timestamp"'],
)  # fmt: skip
def test_blanks_around_a_column_name_are_no_part_of_it(custom, header):
    assert len(custom(ROWS.replace(HEADER.strip(), header)).read().item) == 3


def test_lines_with_too_few_fields_are_counted(custom):
    rows = "user_id,item_id,timestamp,review\nu,1,1600000000,good\nu,2,1600000001\n"
    counted = custom(rows, "item_id,title,brand\n1,a kite\n2,b,Sky\nof red,x\n").read().card["counted"]
    assert counted["interaction lines with fewer fields than the header, the rest taken as empty"] == 1
    assert counted["item lines with fewer fields than the header, the rest taken as empty"] == 2


def test_a_header_that_lacks_a_name_is_suspected(custom):
    with pytest.raises(InputError, match=r"Is a name missing in the header, such as that of an index column\?"):
        custom(HEADER + "0,u,1,1600000000\n1,u,2,1600000001\n").read()


def test_times_of_1970_among_later_ones_are_counted(custom):
    counted = custom(ROWS + "v,2,0\nu,2,20200913\n").read().card["counted"]
    early = "times before March 1973 among later ones: unknown ones, or written in another unit"
    assert counted[early] == 2
    stated = custom(HEADER + f"u,1,{NOW}\nu,2,{NOW}000\nv,2,{NOW}001\n", time_format="milliseconds").read()
    assert stated.card["counted"][early] == 1
    assert custom(HEADER + "u,1,1\nu,2,2\n").read().card["counted"][early] == 0


def test_titles_that_are_none_are_counted(custom):
    counted = custom(ROWS, "item_id,title\n1,NaN\n2,#N/A\n").read().card["counted"]
    assert counted["titles that read nan, null or none, kept as titles"] == 2


@pytest.mark.parametrize(
    ("stamp", "second"),
    [("2020-09-13 14:26:40+02", NOW), ("2020-09-13T12:26:40-0000", NOW), ("2020-09-13T12:26:40+99:99", None),
     ("2020-09-13T12:26:40+05:75", None)],
)  # fmt: skip
def test_offsets_of_zones(stamp, second):
    assert seconds(pl.Series([stamp])).to_list() == [second]


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\n\n<html>\n", "a web page"), (b"\xef\xbb\xbf<?xml?>\n", "a web page"), (b"[\n{\"a\": 1}]\n", "JSON"),
     (b' {"a": 1}\n', "JSON"), (b'{\n "a": 1}\n', "JSON"), (b"Rar!\x1a\x07\0", "rar"), (b"\x80\x04\x95ab", "pickle"),
     (b"\x1f\x9d\x90ab", "compress"), (b"\x04\x22\x4d\x18ab", "lz4"), (b"\x93NUMPYab", "NumPy"), (b"ORC\n", "ORC"),
     (b"i.csv" + bytes(252) + b"ustar\x0000" + bytes(300), "tar archive")],
)  # fmt: skip
def test_other_formats_are_named(custom, head, kind):
    with pytest.raises(InputError, match=kind):
        custom(head).read()


def test_a_table_by_id_loses_no_line(tmp_path):
    (tmp_path / "p.csv").write_text('id,text\n1,"likes a, b"\n2,likes a, b\n')
    with pytest.raises(InputError, match=r"p\.csv: 1 row\(s\) have more fields .* first on line 3"):
        read_whole(tmp_path / "p.csv", ["id", "text"])


REVIEW = '{"reviewerID": "u", "asin": %s, "unixReviewTime": %s, "overall": 5}\n'


@pytest.fixture
def amazon(tmp_path):
    def read(reviews: str, metadata: str):
        places = {"reviews": tmp_path / "r.json", "metadata": tmp_path / "m.json"}
        for path, text in zip(places.values(), (reviews, metadata), strict=True):
            path.write_text(text, newline="")
        return Amazon(
            edition=2014, category="x", data=None, sha256={}, licence="", expect=None, max_malformed=1, choice=Choice(),
            description_chars=50, rules=Rules(), **{role: str(path) for role, path in places.items()},
        ).read()  # fmt: skip

    return read


@pytest.mark.parametrize("asin", ['"a"', '" a "', '"\\u0061"'])
def test_metadata_of_an_id_written_in_another_way(amazon, asin):
    lines = f'{{"asin": {asin}, "title": "T"}}\n{{"asin": "b", "title": 1984}}\n'
    assert amazon(REVIEW % ('"a"', 5) + REVIEW % ('"b"', 6), lines).items.title[1:] == ["T", "1984"]


def test_carriage_returns_alone_are_named(amazon):
    with pytest.raises(InputError, match="carriage returns alone"):
        amazon((REVIEW % ('"a"', 5)).replace("\n", "\r") * 3, '{"asin": "a", "title": "T"}\n')


def test_dates_in_the_wrong_order_are_refused():
    with pytest.raises(InputError, match=r"dataset\.first=2020-01-01 lies behind dataset\.last=2019-01-01"):
        Yelp(
            data=None, reviews="r", businesses="b", first="2020-01-01", last="2019-01-01", licence="", expect=None,
            max_malformed=0, choice=Choice(), rules=Rules(),
        )  # fmt: skip


RATED = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,2,5.0,964981247\n2,1,3.0,964981247\n"
FILMS = 'movieId,title,genres\n1,"A, The (1995)",Drama\n2,B (1999),War|Crime\n'
CITY = FILMS.replace("A,", "Cité,")
FILMS_1M = "1::A, The (1995)::Drama\n2::B (1999)::War|Crime\n"
RATED_1M = "1::1::4::964982703\n1::2::5::964981247\n"


@pytest.fixture
def grouplens(tmp_path):
    def read(layout: str, **files: str | bytes):
        usual = {
            "latest": {"ratings.csv": RATED, "movies.csv": FILMS},
            "1m": {"ratings.dat": RATED_1M, "movies.dat": FILMS_1M},
        }
        usual["100k"] = {
            "u.data": "196\t1\t3\t881250949\n",
            "u.item": "1|Toy (1995)|||u|0|1\n",
            "u.genre": "unknown|0\nWar|1\n",
        }
        for name, text in {**usual[layout], **{name.replace("_", "."): text for name, text in files.items()}}.items():
            Path(tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return GroupLens(
            name="ML", layout=layout, data=None, source=str(tmp_path), sha256=None, licence="", expect=None, max_tags=0,
            choice=Choice(), rules=Rules(unknown_item="drop"),
        ).read()  # fmt: skip

    return read


@pytest.mark.parametrize(
    "raw",
    [CITY.encode() + "3,Léon (1994),War\n".encode("latin-1"), CITY.encode("utf-16"), CITY.replace("\n", "\r").encode()],
)  # fmt: skip
def test_films_in_any_coding_and_mixed(grouplens, raw):
    assert grouplens("latest", movies_csv=raw).items.title[1:] == ["Cité, The", "B"]


def test_films_of_windows(grouplens):
    assert grouplens("1m", movies_dat="1::“A” (1995)::Drama\r2::B::War\r".encode("cp1252")).items.title[1:] == [
        "“A”",
        "B",
    ]


@pytest.mark.parametrize(
    ("layout", "files", "message"),
    [("latest", {"movies_csv": 'movieId,title,genres\n1,"a (1995),Drama\n2,"B",War\n'}, "line 2 cannot be read"),
     ("latest", {"movies_csv": "movieId,title,genres,title\n1,a,b,c\n"}, r"not each of movieId, title, genres once"),
     ("latest", {"movies_csv": "movieId,title,genres\n"}, r"movies\.csv lists no film"),
     ("latest", {"movies_csv": "movieId,title,genres\n ,a,Drama\n1,B,War\n"}, r"gives the film 'a' no id"),
     ("latest", {"ratings_csv": RATED + "1,1,4\n"}, r"line 5: '1,1,4'"),
     ("latest", {"ratings_csv": RATED[:32] + "1,1,4\n"}, r"line 2 has 3 fields, not 4"),
     ("1m", {"movies_dat": "::A::Drama\n"}, r"gives the film 'A' no id"),
     ("1m", {"ratings_dat": "1::1::964982703::4\n"}, r"malformed line.*is line 1"),
     ("1m", {"ratings_dat": "1,1,4,964982703\n"}, r"line 1 has 1 fields, not 4"),
     ("100k", {"u_data": "196\t1\t881250949\t3\n"}, r"malformed line.*is line 1"),
     ("100k", {"u_genre": "unknown\t0\nWar\t1\n"}, r"u\.genre line 1 has no"),
     ("100k", {"u_item": "1|Toy (1995)|||u|0|2\n"}, r"flags of genres that are neither 0 nor 1")],
)  # fmt: skip
def test_files_of_grouplens_that_read_wrong_are_refused(grouplens, layout, files, message):
    with pytest.raises(InputError, match=message):
        grouplens(layout, **files)


def test_a_lone_quote_in_another_column_of_the_ratings_swallows_no_row(grouplens):
    text = "userId,movieId,rating,timestamp,words\n1,1,4,964982703,%s\n1,2,4,964982704,b\n2,1,4,964982705,c\n"
    assert len(grouplens("latest", ratings_csv=text % '"a, b"').item) == 3
    with pytest.raises(InputError, match=r"line 3 reads as a row"):
        grouplens("latest", ratings_csv=text.replace("705,c", '705,c"') % '"a')


@pytest.mark.parametrize("seed", range(3))
def test_mutated_ratings_with_words(grouplens, seed):
    draw, read = random.Random(seed), 0
    text = (
        "userId,movieId,rating,timestamp,words\n" + '1,1,4,964982703,"a, b"\n2,2,4,964982704,c\n1,2,3,964982709,\n' * 2
    )
    for _ in range(60):
        raw = bytearray(text.encode())
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(raw))
            raw[at : at + draw.randint(0, 2)] = draw.choice([b'"', b'\\"', b",", b"\n", b"\r", b"\xff", b"", b"nan"])
        try:
            card = grouplens("latest", ratings_csv=bytes(raw)).card
        except InputError:
            continue
        read += 1
        lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        assert card["rows_in_file"] == card["interactions"] + row_losses(card["counted"])
        inner = card["counted"].get("lines inside quoted fields", 0)
        assert card["rows_in_file"] == sum(bool(line.strip()) for line in lines) - 1 - inner
    assert read > 2
