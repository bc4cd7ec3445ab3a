"""The Yelp Open Dataset as Yelp hands it out: one JSON record a line, reviews and businesses.

A review is an interaction of `user_id` with `business_id` at `date` ("2018-07-07 22:09:11", older editions
"2018-07-07"; Yelp names no zone, read as UTC). `first` and `last` bound the dates, inclusive and compared as text:
S3-Rec's own test, by which "2019-12-31 00:00:00" leaves out all of that day but its first second. Users come back to a
place: repeats are kept (S3-Rec; its table holds 11,830 of them). Item text: name, categories, city, price class.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pte.dataset.events import Choice, Events, ReviewRelease, core, items_table
from pte.dataset.reader.plaintext import plain, title_text
from pte.dataset.reader.record import Records, about, rating_of, text_of
from pte.dataset.rules import Rules
from pte.schema import InputError, Resolved

FILES = {
    "reviews": ("yelp_academic_dataset_review.json", "review.json"),
    "businesses": ("yelp_academic_dataset_business.json", "business.json"),
}
ADVICE = (
    "Yelp gives its data set only to who accepts its agreement: open https://business.yelp.com/data/resources/open-dataset/,"
    " accept, download the JSON archive and unpack it."
)
TEXTS = ("categories", "city", "price")
PRICE_CLASS = {"1": "inexpensive", "2": "moderate", "3": "expensive", "4": "very expensive"}  # our words for $ to $$$$
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?")


class Yelp(ReviewRelease):
    """reviews, businesses: paths; null: the files' own names in `data`/YelpReviews/."""

    def __init__(
        self,
        *,
        data: Resolved[str | None],
        reviews: Resolved[str | None],
        businesses: Resolved[str | None],
        first: str | None,
        last: str | None,
        licence: str,
        expect: Mapping[str, int] | None,
        max_malformed: int,
        choice: Choice,
        rules: Rules,
    ) -> None:
        for name, date in {"first": first, "last": last}.items():
            if date is not None and not _DATE.fullmatch(date):
                raise InputError(f"dataset.{name}={date}: must look like 2019-01-01 or '2019-01-01 00:00:00'")
        if first and last and first > last:
            raise InputError(f"dataset.first={first} lies behind dataset.last={last}: no review can be between them")
        self.places = {"reviews": reviews, "businesses": businesses}
        self.search = {role: {"names": FILES[role], "advice": ADVICE} for role in self.places}  # none can be fetched
        self.name, self.data, self.folder = "Yelp", data, "YelpReviews"
        self.first, self.last = first or "", last or "9999"
        self.licence, self.expect, self.rules, self.choice = licence, expect, rules, choice
        self.max_malformed = max_malformed

    def _rows(self, path: Path, counts: dict[str, int]) -> pl.DataFrame:
        """The reviews in range, one line at a time: only user, business, time and stars of each are kept."""
        records = Records(path, review, max_malformed=self.max_malformed)
        events = Events(self.choice)
        outside = 0
        for user, business, date, stars in records:
            if self.first <= date <= self.last:
                events.append(user, business, seconds(date), stars)
            else:
                outside += 1
        counts["malformed review lines skipped"] = records.malformed
        counts["reviews outside first..last left out"] = outside
        return events.table(core(self.rules, self.expect), counts)

    def _items(self, path: Path, catalogue: set[str] | None, counts: dict[str, int]) -> pl.DataFrame:
        skip = about("business_id", catalogue) if catalogue is not None else None
        records = Records(path, business, max_malformed=self.max_malformed, skip=skip)
        texts: dict[str, list[str]] = {}
        repeated = 0
        for item_id, fields in records:
            if catalogue is None or item_id in catalogue:
                repeated += item_id in texts
                texts.setdefault(item_id, fields)
        if not texts:
            raise InputError(f"{path} describes none of the reviewed businesses: is it of the same edition?")
        counts["malformed business lines skipped"] = records.malformed
        counts["repeated business lines left out (first kept)"] = repeated
        return items_table(texts, TEXTS)


def review(line: bytes) -> tuple[str, str, str, float]:
    """A review line -> user, business, date as text, stars."""
    record = json.loads(line)
    date = record["date"]
    if not _DATE.fullmatch(date) or seconds(date) < 0:  # the 31st of June raises
        raise ValueError(f"date is {date!r}")
    return text_of(record, "user_id"), text_of(record, "business_id"), date, rating_of(record, "stars")


def seconds(date: str) -> int:
    """Unix seconds of a date that Yelp wrote, taken as UTC."""
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp())


def business(line: bytes) -> tuple[str, list[str]]:
    """A business line -> its id, and name, categories, city and price class as plain text."""
    record = json.loads(line)
    place = ", ".join(part for key in ("city", "state") if (part := plain(record.get(key))))
    return text_of(record, "business_id"), [
        title_text(record.get("name")),
        categories(record),
        place,
        price_class(record),
    ]


def categories(record: dict[str, Any]) -> str:
    """ "Sushi Bars, Food" whether the edition has text or a list; null is ""."""
    value = record.get("categories")
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return ", ".join(dict.fromkeys(text for part in parts if (text := plain(part))))


def price_class(record: dict[str, Any]) -> str:
    """Yelp's price range 1 to 4 in words; it is text, at times a Python literal of text ("u'2'", "None")."""
    attributes = record.get("attributes")
    value = attributes.get("RestaurantsPriceRange2") if isinstance(attributes, dict) else None
    return PRICE_CLASS.get(str(value).removeprefix("u").strip("'\""), "")
