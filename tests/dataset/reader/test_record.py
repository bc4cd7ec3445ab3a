"""Reading a file record by record: laziness, tolerance, truncation, and where a file is looked for."""

import gzip
import json

import pytest

from pte.dataset.reader.record import Records, about, lines, locate, text_of
from pte.schema import InputError

TEN = "".join(json.dumps({"id": n}) + "\n" for n in range(10)).encode()


def numbers(path, **knobs) -> Records:
    return Records(path, lambda line: json.loads(line)["id"], **{"max_malformed": 0, **knobs})


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda raw: gzip.compress(raw[:50]) + gzip.compress(raw[50:])])
def test_plain_gzip_and_joined_gzip_are_recognised_by_content(tmp_path, pack):
    path = tmp_path / "any.name"
    path.write_bytes(pack(TEN))
    assert list(numbers(path)) == list(range(10))
    assert [n for n, _ in lines(path)] == list(range(1, 11))


def test_records_come_before_the_file_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEN * 20_000)[:-100])
    stream = iter(numbers(path))
    assert [next(stream), next(stream)] == [0, 1], "the damage at the end is not seen yet"
    with pytest.raises(InputError, match=r"a\.gz is truncated: .* after line [1-9]"):
        list(stream)


def test_damage_and_a_folder_and_an_empty_file(tmp_path):
    path = tmp_path / "a.gz"
    raw = bytearray(gzip.compress(TEN * 2000, mtime=0))
    raw[-6] ^= 255  # the checksum
    path.write_bytes(raw)
    with pytest.raises(InputError, match="is damaged after line"):
        list(numbers(path))
    path.write_bytes(gzip.compress(TEN) + b"trailing text")
    with pytest.raises(InputError, match="is damaged after line 10"):
        list(numbers(path))
    with pytest.raises(InputError, match="is a folder"):
        list(numbers(tmp_path))
    for nothing in (b"", b"\n\n", gzip.compress(b"")):
        path.write_bytes(nothing)
        with pytest.raises(InputError, match="holds no record"):
            list(numbers(path))


def test_a_plain_file_cut_in_its_last_line_is_truncated_not_tolerated(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(TEN[:-4])
    with pytest.raises(InputError, match="its last line, 10, ends in the middle"):
        list(numbers(path, max_malformed=99))
    path.write_bytes(TEN.rstrip())
    assert len(list(numbers(path))) == 10, "a last line without line end may still be whole"


def test_the_tolerance_names_the_first_bad_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(TEN + b"\xff\n" + b"[1]\n" + TEN)
    records = numbers(path, max_malformed=2)
    assert len(list(records)) == 20
    assert records.malformed == 2
    with pytest.raises(InputError, match=r"max_malformed=1 .* the first is line 11 \(UnicodeDecodeError"):
        list(numbers(path, max_malformed=1))


def test_the_quick_test_loses_no_wanted_line():
    unwanted = about("asin", {"B1"})
    assert unwanted(b"{'asin': 'B2', 'title': 'x'}")
    assert not unwanted(b"{'title': 'x', 'asin': 'B1'}")
    assert not unwanted(b"{'title': \"'asin': 'B7'\", 'asin': 'B1'}"), "a decoy in a text"
    assert not unwanted(b'{"asin":"B1"}')
    assert not unwanted(b"{'sin': 'B2'}"), "no id in sight: read it properly"


def test_skipped_lines_are_not_parsed(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(TEN.replace(b'"id": 3}', b'"id": 3') + b"nonsense about nothing\n")
    assert list(numbers(path, skip=lambda line: b"3" in line or b"nonsense" in line)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_ids_are_text_or_whole_numbers_and_not_empty():
    assert text_of({"a": " x "}, "a") == "x"
    assert text_of({"a": 7}, "a") == "7"
    for wrong in ("", "  ", None, True, 1.5, ["x"]):
        with pytest.raises(ValueError, match="a is"):
            text_of({"a": wrong}, "a")


def test_where_a_file_is_looked_for(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    uri = "https://host/path/a.json.gz"

    def found(place, names=()):
        return locate(place, knob="reviews", data=str(tmp_path), folder="data", names=names, advice="Ask for it.")

    (folder / "a.json").write_bytes(TEN)
    assert found(uri) == folder / "a.json", "unpacked"
    (folder / "a.json.gz").write_bytes(gzip.compress(TEN))
    assert found(uri) == folder / "a.json.gz", "the copy by its own name comes first"
    assert found(None, ("b.json", "a.json")) == folder / "a.json"
    assert found(f"file:{folder}/a.json") == folder / "a.json"
    with pytest.raises(InputError, match=r"dataset.reviews=/no/file: there is no such file"):
        found("/no/file")
    with pytest.raises(InputError, match=r"dataset.reviews: Ask for it. Put b.json or c.json into .*data, or type"):
        found(None, ("b.json", "c.json"))
    with pytest.raises(InputError, match=r"type dataset\.reviews=/its/path"):
        found(None)
    with pytest.raises(InputError, match="sha256"):
        locate(uri, knob="reviews", data=str(tmp_path), folder="data", sha256="0" * 64)
