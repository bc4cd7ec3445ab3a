"""The interactions stage saves what it loads, prints the card, and roots the keys in the raw files' content."""

from __future__ import annotations

from dataclasses import replace

from pte.dataset.table.card import card
from pte.schema import Interactions
from pte.schema.context import Context
from pte.stage import interactions as stage

SOURCE = {"name": "twelve", "licence": "none", "sha256": {"a": "1"}}


def assert_same(one, other):
    for name in ("user", "item", "time"):
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        assert (left == right).all()
    assert one.user_id == other.user_id
    assert one.items == other.items
    assert one.card == other.card


def with_card(interactions, cut=None):
    counts = {"malformed rows dropped": 1234, "exact duplicate rows dropped": 0}
    return replace(interactions, card=card(interactions, titled_share=1.0, counts=counts, cut=cut, source=SOURCE))


class Fixed:
    def __init__(self, interactions):
        self.interactions = interactions

    def fingerprint(self):
        return {"b": "2", "a": "1"}

    def read(self):
        return self.interactions


def test_save_then_load(tmp_path, twelve):
    twelve.save(tmp_path)
    assert_same(Interactions.load(tmp_path), twelve)


def test_texts_with_line_breaks_and_other_scripts_survive(tmp_path, twelve):
    odd = ["", "a\nb", 'quote " and \\', "Амели", "\u2028", "", "漫画"]
    items = replace(twelve.items, title=odd, text={})
    replace(twelve, items=items).save(tmp_path)
    assert Interactions.load(tmp_path).items == items


def test_run_says_the_card(tmp_path, twelve, caplog):
    whole = with_card(twelve, cut="only 4 of 9 users")
    stage.run(
        Context(
            config={"dataset": {}},
            parents={},
            out=tmp_path,
            work=tmp_path,
            build=lambda group: Fixed(whole),
            loggers=[],
        )
    )
    assert_same(Interactions.load(tmp_path), whole)
    assert caplog.messages[0] == "twelve: 4 users, 6 items, 12 interactions (density 50.000%)"
    assert "last two at the same time: 33.3% of users" in caplog.messages[1]  # ann of ann, bob, cy
    assert "  malformed rows dropped: 1,234" in caplog.messages
    assert not any("duplicate" in line for line in caplog.messages)  # nothing was dropped by that rule
    assert "  CUT: only 4 of 9 users" in caplog.messages


def test_roots_are_the_fingerprint_in_a_fixed_order(twelve):
    assert list(stage.roots(Fixed(twelve)).items()) == [("a", "1"), ("b", "2")]
