"""Generations in parts and texts in files, read as the lists they were written from, whatever the sizes."""

import pytest

from pte.schema import Generation, generations
from pte.schema.generations import Generations, GenerationWriter
from pte.schema.texts import TextWriter


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_parts_of_three_are_read_as_one_list(tmp_path, monkeypatch, count):
    monkeypatch.setattr(generations, "ROWS", 3)
    whole = [Generation("user", e, 0, 0, "plain", 0.0, "", "said", f"text {e}", parsed=True) for e in range(count)]
    writer = GenerationWriter(tmp_path)
    writer.extend(whole)
    for read in (writer.close(), Generations(tmp_path)):
        assert (len(read), list(read), read[:], read[1:-1]) == (count, whole, whole, whole[1:-1])
        assert [read[i] for i in range(-count, count)] == [whole[i] for i in range(-count, count)]
        assert read == whole
        assert read != [*whole, *whole, None]
        with pytest.raises(IndexError):
            read[count]
    assert len(list(tmp_path.iterdir())) == max(1, -(-count // 3))


def test_a_second_writer_leaves_nothing_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(generations, "ROWS", 1)
    one = Generation("user", 0, 0, 0, "plain", 0.0, "", "said", "text", parsed=True)
    for count in (3, 1):
        writer = GenerationWriter(tmp_path)
        writer.extend([one] * count)
        assert list(writer.close()) == [one] * count


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_texts_in_files_are_read_as_one_list(tmp_path, count):
    """Empty texts and letters of several bytes move no border."""
    whole = [[f"{i} ü", "", "日本" * i] for i in range(count)]
    writer = TextWriter(tmp_path, "item", 3)
    for texts in whole:
        writer.append(texts)
    read = writer.close()
    assert (len(read), list(read), read[:], read[1:-1]) == (count, whole, whole, whole[1:-1])
    assert [read[i] for i in range(-count, count)] == [whole[i] for i in range(-count, count)]
    with pytest.raises(IndexError):
        read[count]
