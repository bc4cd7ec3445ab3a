"""Files of every suffix, with the oddities files have."""

from __future__ import annotations

import datetime
import gzip

import numpy as np
import polars as pl
import pytest

from pte.dataset.reader.delimited import Table
from pte.dataset.reader.moment import microseconds, seconds
from pte.dataset.reader.source import interaction_rows, item_rows, read_frame, require
from pte.schema import InputError

NEW_YEAR = 1577836800  # 2020-01-01 00:00:00 UTC


@pytest.fixture
def written(tmp_path):
    def write(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_csv_tsv_gz_and_parquet_read_alike(written, tmp_path):
    frame = pl.DataFrame({"a": ["1", "2"], "b": ["x, y", None]})
    frame.write_parquet(tmp_path / "t.parquet")
    csv = 'a,b\n1,"x, y"\n2,\n'
    paths = [
        written("t.csv", csv),
        written("t.csv.gz", gzip.compress(csv.encode())),
        written("t.tsv", "a\tb\n1\tx, y\n2\t\n"),
        written("bom.csv", b"\xef\xbb\xbf" + csv.encode()),
        tmp_path / "t.parquet",
    ]
    for path in paths:
        table = read_frame(path)
        assert table.frame.equals(frame)
        assert table.ragged == ()


def test_rows_with_too_many_fields_are_numbered_and_left_out(written):
    table = read_frame(written("t.csv", 'a,b\n1,2,3\n"x\ny",4\n5,6,7\n8\n'))
    assert table.ragged == ((1, 2), (3, 5))  # row, line
    assert table.frame.rows() == [("x\ny", "4"), ("8", None)]
    assert (table.row.tolist(), table.line.tolist(), table.inner_lines) == ([2, 4], [3, 6], 1)


def test_a_quote_inside_a_field_is_a_character(written):
    assert read_frame(written("t.tsv", 'a\tb\n1\tthe 12" single\n')).frame.rows() == [("1", 'the 12" single')]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", b"a,b\ncaf\xe9,1\n", "UTF-8"),
        ("t.csv", 'a,b\n"open,1\n2,3\n', "cannot be read"),
        ("t.txt", "a", "use .csv"),
        ("t.parquet", "nonsense", "cannot be read"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:60], "cannot be read"),
    ],
)
def test_unreadable_files_say_so(written, name, content, message):
    with pytest.raises(InputError, match=message):
        read_frame(written(name, content))


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_frame(tmp_path / "t.csv")


def test_a_missing_column_lists_those_there_and_the_knob(tmp_path):
    frame = Table(frame=pl.DataFrame({"uid": ["1"], "item": ["2"]}), row=np.array([1]))
    with pytest.raises(InputError, match=r"no column 'user_id'. It has: uid, item.*dataset.user_id=COLUMN"):
        require(frame, {"user_id": "user_id"}, tmp_path / "t.csv", configurable=True)
    with pytest.raises(InputError, match=r"dataset.timestamp=null dataset.position=COLUMN"):
        require(frame, {"timestamp": "time"}, tmp_path / "t.csv", configurable=True)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2020-01-01", NEW_YEAR),
        ("2020-01-01T00:00:05Z", NEW_YEAR + 5),
        ("2020-01-01 02:00:00+02:00", NEW_YEAR),
        ("2020-01-01T00:00:00.750-0130", NEW_YEAR + 5400),
        ("2020-01-01 00:01", NEW_YEAR + 60),
        (str(NEW_YEAR), NEW_YEAR),
        (str(NEW_YEAR * 1000 + 7), NEW_YEAR),
        (str(NEW_YEAR * 10**6), NEW_YEAR),
        (f"{NEW_YEAR}.9", NEW_YEAR),
        ("0", 0),
        ("yesterday", None),
        ("2020-13-01", None),
        ("-5", None),
        ("nan", None),
        ("1969-12-31", None),
    ],
)
def test_times(value, time):
    assert seconds(pl.Series([value])).to_list() == [time]


def test_times_of_typed_columns():
    moment = datetime.datetime(2020, 1, 1)
    assert seconds(pl.Series([moment, None])).to_list() == [NEW_YEAR, None]
    assert seconds(pl.Series([moment.date()])).to_list() == [NEW_YEAR]
    assert seconds(pl.Series([moment]).dt.replace_time_zone("Europe/Berlin")).to_list() == [NEW_YEAR - 3600]
    assert seconds(pl.Series([NEW_YEAR * 10**9])).to_list() == [NEW_YEAR]


@pytest.mark.parametrize(
    ("values", "found"),
    [([1577836800123, 1577836800999], [123_000, 999_000]), ([NEW_YEAR + 0.25, NEW_YEAR], [250_000, 0]),
     ([NEW_YEAR * 10**9 + 123_456_000, NEW_YEAR * 10**9], [123_456, 0]),
     (["2020-01-01T00:00:00.5Z", "2020-01-01 00:00:00,1234567"], [500_000, 123_456])],
)  # fmt: skip
def test_events_of_one_second_keep_apart(values, found):
    assert (microseconds(pl.Series(values)) - NEW_YEAR * 1_000_000).to_list() == found


def test_order_within_a_second_is_that_of_time():
    """Three events of one second, in the file from last to first; the one met twice is two events."""
    times = [f"{NEW_YEAR}{ms}" for ms in (900, 500, 100, 100)]
    frame = pl.DataFrame({"user": ["u"] * 4, "item": ["c", "b", "a", "c"], "t": times})
    rows = interaction_rows(frame, user_id="user", item_id="item", position=None, timestamp="t")
    assert rows.sort("position", "row")["item_id"].to_list() == ["a", "c", "b", "c"]
    assert rows["time"].to_list() == [NEW_YEAR] * 4


def test_positions_are_whole_numbers():
    frame = pl.DataFrame({"u": ["a"] * 4, "i": list("bcde"), "p": ["3.0", "2.7", "9007199254740993", ""]})
    rows = interaction_rows(frame, user_id="u", item_id="i", position="p", timestamp=None)
    assert rows["position"].to_list() == [3, None, 9007199254740993, None]
    assert rows["bad"].to_list() == [False, True, False, True]


def test_text_columns_of_any_name_and_kind():
    frame = pl.DataFrame({
        "sku": ["a", "b"], "row": ["1", None], "item_id": ["x", "y"], "name": ["T", "U"], "title": ["s", "t"],
        "tags": [["u", "v"], None], "price": [float("nan"), 2.0],
    })  # fmt: skip
    texts = [c for c in frame.columns if c not in ("sku", "name")]
    rows = item_rows(frame, item_id="sku", title="name", columns=texts)
    assert rows.rows() == [(1, "a", "T", "1", "x", "s", "u, v", ""), (2, "b", "U", "", "y", "t", "", "2")]
    assert rows.columns == ["row", "item_id", "title", "row_text", "item_id_text", "title_text", "tags", "price"]
    with pytest.raises(InputError, match="told apart"):
        item_rows(frame.with_columns(row_text=pl.lit("z")), item_id="sku", title="name", columns=[*texts, "row_text"])
    with pytest.raises(InputError, match="column 'made' holds Binary"):
        item_rows(frame.with_columns(made=pl.lit(b"\xff")), item_id="sku", title="name", columns=["made"])


def test_one_unit_for_the_whole_column():
    early_and_late = pl.Series([86_400_000, NEW_YEAR * 1000])  # 1970-01-02 and 2020-01-01 in milliseconds
    assert seconds(early_and_late).to_list() == [86_400, NEW_YEAR]
