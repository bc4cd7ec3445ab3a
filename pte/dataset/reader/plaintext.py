"""Shop metadata -> plain text: no markup, no entities, no page code, one blank between words, a bounded length.

Crawled titles and descriptions carry HTML entities (twice escaped ones too: "&amp;quot;"), tags, scripts and line
breaks. What only looks like a tag stays: "5 < 6", "<3".
"""

from __future__ import annotations

import html
import re
from itertools import pairwise

_BLOCK = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>|<![a-zA-Z][^<>]*>", re.DOTALL)
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f\u200b-\u200f\u2028\u2029\ud800-\udfff\ufeff]")
_PRICE = re.compile(r"(?:from )?\$? ?(\d[\d,]*(?:\.\d+)?)(?: ?- ?\$? ?\d[\d,]*(?:\.\d+)?)?")

# Ours: a text encoder reads "$10 to $25" better than 13.99, and equal buckets are shared by look-alikes.
PRICE_STEPS = (5, 10, 25, 50, 100, 250, 1000)


def plain(value: object, limit: int | None = None) -> str:
    """One line of plain text; a list's entries are joined by blanks; anything that is not text is "".

    limit: at most this many characters, cut between words where there is a blank.
    """
    if isinstance(value, list | tuple):
        value = " ".join(entry for entry in value if isinstance(entry, str))
    if not isinstance(value, str):
        return ""
    text = value
    if "&" in text:
        text = html.unescape(text)
        if "&" in text:  # escaped twice
            text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", _BLOCK.sub(" ", text))
    text = " ".join(_INVISIBLE.sub(" ", text).split())
    return shortened(text, limit)


def shortened(text: str, limit: int | None) -> str:
    """At most `limit` characters, cut at the last blank before it where there is one."""
    if limit is None or len(text) <= limit:
        return text
    head = text[:limit]
    if text[limit] != " " and " " in head:
        head = head[: head.rindex(" ")]
    return head.rstrip()


def title_text(value: object) -> str:
    """A title, "" where the crawler took page code for one (the publisher's own test: it contains "getTime").

    A whole number is a title too: 1984.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return "" if isinstance(value, str) and "getTime" in value else plain(value)


def category_path(value: object) -> str:
    """["Toys", "Games"] -> "Toys > Games"; entries that are markup alone or repeat the one before are left out."""
    entries = [text for entry in (value if isinstance(value, list) else []) if (text := plain(entry))]
    return " > ".join(entries[:1] + [b for a, b in pairwise(entries) if a != b])


def category_paths(value: object) -> str:
    """[["Toys", "Games"], ["Toys", "Cards"]] -> "Toys > Games | Toys > Cards", equal paths once."""
    paths = (category_path(path) for path in (value if isinstance(value, list) else []))
    return " | ".join(dict.fromkeys(path for path in paths if path))


def price_bucket(value: object) -> str:
    """12.99, "$12.99", "$12.99 - $20.00" or "from 12.99" -> "$10 to $25": of a range the lower price; else ""."""
    if isinstance(value, str):
        match = _PRICE.fullmatch(value.strip())
        value = float(match[1].replace(",", "")) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        return ""
    if value < PRICE_STEPS[0]:
        return f"under ${PRICE_STEPS[0]}"
    if value >= PRICE_STEPS[-1]:
        return f"${PRICE_STEPS[-1]} and more"
    low, high = next((low, high) for low, high in pairwise(PRICE_STEPS) if low <= value < high)
    return f"${low} to ${high}"
