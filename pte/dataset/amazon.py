"""Amazon reviews as their publisher (UCSD, McAuley lab) hands them out: the 2014, 2018 and 2023 editions.

| edition | reviews | metadata | a record's ids and time | item metadata |
|---|---|---|---|---|
| 2014 | reviews_<C>_5.json.gz | meta_<C>.json.gz | reviewerID, asin, unixReviewTime (days) | Python literals |
| 2018 | <C>_5.json.gz | meta_<C>.json.gz | the same | JSON; pages' markup in titles and prices |
| 2023 | <C>.jsonl.gz | meta_<C>.jsonl.gz | user_id, parent_asin, timestamp (milliseconds) | JSON; store for brand |

Every review is an interaction whatever its rating (S3-Rec, P5, AlphaFuse) unless `choice.min_rating` says otherwise.
Interactions are ordered by time; `choice.ties` orders equal times. The 2014 files are sorted by item code, so the
literature's order of a whole day's reviews is that of the code: ties=item_id gives it for any order of the lines.
Of several metadata lines for one item the first non-empty value of each field wins. The item code is no text column.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from pte.dataset.events import Choice, Events, ReviewRelease, core, items_table
from pte.dataset.reader.plaintext import category_path, category_paths, plain, price_bucket, title_text
from pte.dataset.reader.record import Records, about, rating_of, text_of, time_of
from pte.dataset.rules import Rules
from pte.schema import InputError, Resolved, one_of

TEXTS = ("brand", "categories", "price", "features", "description")
Review = tuple[str, str, int, float]  # user, item, time, rating


@dataclass(frozen=True)
class Edition:
    """What differs between the editions: field names, the unit of time, and how a metadata line is read."""

    user: str
    item: str
    rating: str
    time: str
    unit: int  # times per second
    brand: str
    categories: Callable[[dict[str, Any]], str]
    features: str
    load: Callable[[bytes], Any]  # one metadata line


def literal(line: bytes) -> Any:
    """A Python literal or JSON line -> its value; never evaluated as code."""
    return json.loads(line) if line.lstrip().startswith(b'{"') else ast.literal_eval(line.decode().strip())


def _path_or_department(path: str, department: str) -> Callable[[dict[str, Any]], str]:
    """The category path, and where it is empty the department alone."""
    return lambda record: category_path(record.get(path)) or plain(record.get(department))


_2014 = Edition(
    "reviewerID", "asin", "overall", "unixReviewTime", 1, "brand",
    lambda record: category_paths(record.get("categories")), "feature", literal,
)  # fmt: skip
EDITIONS = {
    2014: _2014,
    2018: replace(_2014, categories=_path_or_department("category", "main_cat"), load=json.loads),
    2023: Edition(
        "user_id", "parent_asin", "rating", "timestamp", 1000, "store",
        _path_or_department("categories", "main_category"), "features", json.loads,
    ),
}  # fmt: skip


class Amazon(ReviewRelease):
    """One category of one edition. reviews, metadata: a path, or a URI; `data`/Amazon<edition>/ may hold a copy."""

    def __init__(
        self,
        *,
        edition: int,
        category: str,
        data: Resolved[str | None],
        reviews: Resolved[str],
        metadata: Resolved[str],
        sha256: Resolved[Mapping[str, str | None]],
        licence: str,
        expect: Mapping[str, int] | None,
        max_malformed: int,
        description_chars: int,
        choice: Choice,
        rules: Rules,
    ) -> None:
        one_of("dataset.edition", edition, EDITIONS)
        self.name, self.edition = f"Amazon {edition} {category}", EDITIONS[edition]
        self.data, self.folder = data, f"Amazon{edition}"
        self.places = {"reviews": reviews, "metadata": metadata}
        self.search = {role: {"sha256": sha256.get(role)} for role in self.places}
        self.licence, self.expect, self.rules, self.choice = licence, expect, rules, choice
        self.max_malformed, self.description_chars = max_malformed, description_chars

    def _rows(self, path: Path, counts: dict[str, int]) -> pl.DataFrame:
        """The reviews, one line at a time: only user, item, time and rating of each are kept."""
        edition = self.edition

        def review(line: bytes) -> Review:
            record = json.loads(line)
            time, rating = time_of(record, edition.time, edition.unit), rating_of(record, edition.rating)
            return text_of(record, edition.user), text_of(record, edition.item), time, rating

        records = Records(path, review, max_malformed=self.max_malformed)
        events = Events(self.choice, unit=edition.unit)
        for user, item, time, rating in records:
            events.append(user, item, time, rating)
        counts["malformed review lines skipped"] = records.malformed
        return events.table(core(self.rules, self.expect), counts)

    def _items(self, path: Path, catalogue: set[str] | None, counts: dict[str, int]) -> pl.DataFrame:
        """The metadata of the wanted items (None: of all), merged per item."""
        skip = about(self.edition.item, catalogue) if catalogue is not None else None
        records = Records(path, self._item, max_malformed=self.max_malformed, skip=skip)
        texts: dict[str, list[str]] = {}
        repeated = 0
        for item_id, fields in records:
            if catalogue is not None and item_id not in catalogue:
                continue
            first = texts.setdefault(item_id, fields)
            if first is not fields:
                repeated += 1
                texts[item_id] = [a or b for a, b in zip(first, fields, strict=True)]
        if not texts:
            raise InputError(f"{path} describes none of the reviewed items: is it the metadata of this category?")
        counts["malformed metadata lines skipped"] = records.malformed
        counts["repeated metadata lines merged (first non-empty value kept)"] = repeated
        return items_table(texts, TEXTS)

    def _item(self, line: bytes) -> tuple[str, list[str]]:
        """A metadata line -> item id, and title and TEXTS as plain text."""
        edition = self.edition
        record = edition.load(line)
        return text_of(record, edition.item), [
            title_text(record.get("title")),
            plain(record.get(edition.brand)),
            edition.categories(record),
            price_bucket(record.get("price")),
            plain(record.get(edition.features), self.description_chars),
            plain(record.get("description"), self.description_chars),
        ]
