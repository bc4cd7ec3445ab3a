"""Tables as programs export them: lines above the header, typed headers, records that are no table."""

from __future__ import annotations

import gzip

import pytest

from pte.dataset.custom import Custom
from pte.dataset.rules import Rules
from pte.schema import InputError

ROWS = "user_id,item_id,timestamp\nu,1,1600000000\nu,2,1600000001\nv,1,1600000002\n"
ITEMS = "item_id,title,brand\n1,Kite,Sky\n2,Ball,Round\n"
REVIEW = '{"reviewerID": "A1", "asin": "1", "reviewText": "x", "overall": 5.0, "unixReviewTime": 1252800000}\n'


@pytest.fixture
def custom(tmp_path):
    def make(rows=ROWS, items=ITEMS, names=("i.csv", "t.csv"), **knobs):
        for name, content in zip(names, (rows, items), strict=True):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        paths = {role: str(tmp_path / name) for role, name in zip(("interactions", "items"), names, strict=True)}
        return Custom(**{"name": "mine", "licence": "mine", "rules": Rules(), **paths} | knobs)

    return make


@pytest.mark.parametrize(
    ("top", "lines"),
    [("sep=,\n", 1), ('"sep=,"\r\n', 1), ("SEP=,\n", 1), ("\ufeffsep=,\n", 1), ("# of June, July\n", 1), ("#\n", 1),
     ('# "quote\n\n## two\n', 2), ("sep=,\n# note\n", 2), ("\ufeff# note\n", 1), ("\n", 0)],
)  # fmt: skip
def test_lines_above_the_header_are_counted(custom, top, lines):
    for rows, items, name in ((top + ROWS, ITEMS, "interaction"), (ROWS, top + ITEMS, "item")):
        made = custom(rows, items).read()
        assert (made.user_id, made.items.title[1:], len(made.item)) == (["u", "v"], ["Kite", "Ball"], 3)
        assert made.card["counted"].get(f"{name} lines above the header, comments or sep=", 0) == lines


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_excels_own_word_for_the_separator(custom, separator):
    rows, items = (f"sep={separator}\n{text}".replace(",", separator) for text in (ROWS, ITEMS))
    assert len(custom(rows, items).read().item) == 3
    assert len(custom(rows.encode("utf-16"), items).read().item) == 3


def test_lines_are_numbered_as_they_stand_in_the_file(custom):
    with pytest.raises(InputError, match=r"data row 4 \(line 7, no item_id\)"):
        custom("# one\n\n" + ROWS + "u,,1600000003\n").read()
    with pytest.raises(InputError, match=r"data row 4 \(line 5, no item_id\)"):
        custom(ROWS + "# three rows\n").read()


def test_a_header_behind_a_hash_is_a_header(custom):
    with pytest.raises(InputError, match="It has: #user_id, item_id, timestamp"):
        custom("#" + ROWS).read()
    rows, items = ("#" + text.replace(",", ";") for text in (ROWS, ITEMS))
    made = custom(rows, items, separator="semicolon", user_id="#user_id", item_key="#item_id")
    assert len(made.read().item) == 3


@pytest.mark.parametrize("top", ["\n", "# note\n"])
def test_a_missing_quote_below_other_lines_is_refused(custom, top):
    with pytest.raises(InputError, match="line 4 reads as a row"):
        custom(top + 'user_id,item_id,timestamp,x\nu,1,1,"abc\nu,2,2,fine"\nu,1,3,ok\n').read()


@pytest.mark.parametrize("knobs", [{}, {"user_id": "user_id:token", "timestamp": "timestamp:float"}])
def test_typed_headers_of_recbole(custom, knobs):
    rows = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t1\t3\t881250949\n186\t2\t3\t891717742\n"
    items = "item_id:token\ttitle:token_seq\tclass:token_seq\n1\tToy Story\tAnimation\n2\tGoldenEye\tAction Thriller\n"
    for ending, packed in (("", bytes), (".gz", gzip.compress)):
        contents = [packed(text.encode()) for text in (rows, items)]
        made = custom(*contents, names=(f"a.inter{ending}", f"a.item{ending}"), **knobs).read()
        assert made.items.title[1:] == ["Toy Story", "GoldenEye"]
        assert made.items.text == {"class": ["", "Animation", "Action Thriller"]}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.json.gz", "a", "a.csv", "a.txt"])
@pytest.mark.parametrize("record", [REVIEW, "{u'username': u'a', u'product_id': u'1'}\n", "[{}]", "{}\n"])
def test_records_are_named_under_any_name(custom, name, record):
    content = gzip.compress(record.encode()) if name.endswith(".gz") else record
    with pytest.raises(InputError, match=r"is no text but JSON: .* \(dataset=Amazon2014, "):
        custom(content, names=(name, "t.csv")).read()


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [("a.xlsx", b"PK\x03\x04", "an Excel workbook"), ("a.feather", b"ARROW1", "an Arrow file"),
     ("a.csv.zip", b"PK\x03\x04", "a zip archive"), ("a.bz2", b"BZh9", "bzip2"),
     ("a.db", b"SQLite format 3\0", "SQLite")],
)  # fmt: skip
def test_other_formats_are_named_under_their_own_names(custom, name, head, kind):
    with pytest.raises(InputError, match=f"is no text but .*{kind}"):
        custom(head + bytes(60), names=(name, "t.csv")).read()
