"""The page to try a run's model on: what it answers, and that mistakes are answered in words."""

import pytest

from pte.engine.inference import serve
from pte.schema import InputError


class Count:
    """A model that recommends the items outside the history by number."""

    def best(self, history, count):
        return [item for item in range(1, 7) if item not in history][:count]


def test_a_history_typed_by_title_is_answered(twelve):
    rows, message = serve.answer(Count(), twelve, "toy story\nHeat; m5", 2)
    assert rows == [[1, "m2", "GoldenEye", "Action · 1995"], [2, "m4", "Alien", "Horror, Sci-Fi · 1979"]]
    assert message == "After: Toy Story → Heat → Aliens"
    assert len(serve.answer(Count(), twelve, "Heat", 50)[0]) == 5  # no more than there are


@pytest.mark.parametrize(
    ("words", "wrong"),
    [("", "type titles or ids"), ("zzz", "no item is called zzz"), ("m1;m2;m3;m4\nm5;m6", "none is left to recommend")],
)
def test_mistakes_are_answered_in_words(twelve, words, wrong):
    rows, message = serve.answer(Count(), twelve, words, 3)
    assert rows == []
    assert wrong in message
    assert "--history" not in message


def test_without_gradio_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'pte\[serve\]'"):
        serve.main(["run"])


def test_the_page_has_a_field_and_a_table(twelve):
    pytest.importorskip("gradio")
    kinds = [part["type"] for part in serve.page(Count(), twelve).get_config_file()["components"]]
    assert {"textbox", "dataframe", "slider", "button"} <= set(kinds)
