"""Which columns of an items table are its text: those requested by name, or text known in advance.

A column such as avg_rating, num_sales or also_bought sums up what users did later, held-out interactions included, and
so would a price that follows demand; numbers say little to a text encoder anyway. Such columns are taken only where
`dataset.text` names them. Everything left out is listed in the data set's card, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from pte.dataset.reader.delimited import Table
from pte.dataset.reader.source import reads_as_none, text
from pte.schema import InputError

INDEX = re.compile(r"|unnamed: ?\d+|index|level_\d+|__index_level_\d+__")  # what pandas writes beside the data
BEHAVIOUR = {
    "rating", "ratings", "rated", "score", "scores", "stars", "review", "reviews", "reviewer", "reviewers",
    "rank", "ranks", "ranking", "salesrank", "sale", "sales", "sold", "popularity", "popular", "views", "viewed",
    "clicks", "likes", "dislikes", "votes", "voters", "downloads", "purchases", "purchased", "orders", "bought",
    "also", "together", "similar", "related", "recommended", "recommendations", "helpful", "count", "counts",
    "num", "number", "avg", "average", "mean", "median", "interactions", "trending", "bestseller", "plays",
    "listeners", "followers", "users", "buyers", "customers", "neighbors", "neighbours", "favorites",
    "favourites", "wishlist", "last",
}  # fmt: skip
SUFFIXES = ("alsobought", "alsoviewed", "alsobuy", "alsoview", "boughttogether", "salesrank", "playcount", "bestseller")
CODES = {
    "id", "ids", "asin", "isbn", "upc", "ean", "sku", "gtin", "uuid", "guid", "hash", "url", "urls", "uri",
    "link", "links", "href", "image", "images", "img", "thumbnail", "thumbnails",
}  # fmt: skip
NUMBER = r"(?i)^[\s$€£¥]*[-+]?(\d[\d.,\s]*(e[-+]?\d+)?|inf(inity)?|nan)\s*[%$€£¥]?$"
DATE = r"^(\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4})$"
WEB = r"^\[?['\"]?(https?://|www\.)"
MOST = 0.9  # share of a column's known values that make it a column of numbers, dates or links


def text_columns(
    table: Table, *, item_key: str, title: str, names: Sequence[str] | None
) -> tuple[list[str], dict[str, str]]:
    """The text columns beside the title, and name -> reason of those left out.

    names: those given as dataset.text; None: selected as this file's head says.
    """
    others = [name for name in table.frame.columns if name not in (item_key, title)]
    if names is not None:
        return list(names), {name: "not asked for" for name in others if name not in names}
    omitted = {name: reason for name in others if (reason := _reason(table, name))}
    return [name for name in others if name not in omitted], omitted


def is_index(name: str) -> bool:
    """Whether pandas wrote the column beside the data: "", "Unnamed: 0", "index", "__index_level_0__"."""
    return INDEX.fullmatch(name.strip().lower()) is not None


def _reason(table: Table, name: str) -> str:
    """Why a column is not taken as text unasked, "" where it is."""
    if is_index(name):
        return "an index, no text"
    if re.sub(r" \(\d+\)$", "", name) in table.repeated:
        return "its name is there more than once"
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if BEHAVIOUR.intersection(words) or any(part in "".join(words) for part in SUFFIXES):
        return "by its name what users did, which may be known only later"
    if CODES.intersection(words):
        return "by its name a code or a link"
    return _kind(table.frame, name)


def _kind(frame: pl.DataFrame, name: str) -> str:
    """What a column's values are if not text, "" where they are text."""
    kind = frame[name].dtype
    if kind.is_numeric() or kind == pl.Boolean:
        return "numbers"
    if kind.is_temporal():
        return "dates or times"
    try:
        values = text(frame, name).drop_nulls() if kind != pl.Binary else None
    except InputError:
        values = None
    if values is None:
        return f"{kind.base_type()} values, no text"
    values = values.filter((values.str.strip_chars() != "") & ~reads_as_none(values))
    if values.is_empty():
        return "empty"
    for content, pattern in {"numbers": NUMBER, "dates or times": DATE, "links": WEB}.items():
        if values.str.contains(pattern).mean() >= MOST:  # type: ignore[operator]
            return content
    return ""
