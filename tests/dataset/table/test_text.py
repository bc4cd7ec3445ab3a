"""What an encoder is given where there is no profile."""

from pte.dataset.table.text import metadata_text
from pte.schema import Items


def test_title_and_named_columns(twelve):
    texts = metadata_text(twelve.items)
    assert texts[0] == ""
    assert texts[4] == "Alien. genres: Horror, Sci-Fi. year: 1979"


def test_unknown_text_leaves_no_trace():
    items = Items(["", "a", "b"], ["", "", " Heat "], {"genres": ["", "Crime", ""]})
    assert metadata_text(items) == ["", "genres: Crime", "Heat"]
