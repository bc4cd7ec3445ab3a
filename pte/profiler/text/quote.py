"""Quotes and brackets around a line, and those whose other one is missing."""

from __future__ import annotations

import re
from itertools import accumulate

QUOTES = ("'‘’‚‛", '"＂', "“”„‟«»‹›「」『』〝〞")  # by kind
QUOTE = "".join(QUOTES)
_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_SAME = re.compile(r"([$=~|])\1*([^$=~|]+)\1+")  # around a whole line


def unquoted(line: str) -> str:
    """Without a quote at either end whose other one is at the other end, or missing; 'Cars' and 'Up' keep theirs."""
    first, last = (_outer(line, place) for place in (0, len(line) - 1)) if len(line) > 1 else (False, False)
    return line[1 if first else 0 : -1 if last else None] if first or last else line


def _outer(line: str, end: int) -> bool:
    """Whether the quote at one end of a line has no other one of its kind within the line."""
    kind = next((kind for kind in QUOTES if line[end] in kind), "")
    if not kind:
        return False
    inner = [
        place
        for place, letter in enumerate(line[1:-1], 1)
        if letter in kind and not (line[place - 1].isalnum() and line[place + 1].isalnum())  # an apostrophe
    ]
    if not inner:
        return kind != QUOTES[0] or line[0 if end else -1] in kind  # 'tis
    return _closes(line, inner[-1 if end else 0]) == bool(end)


def _closes(line: str, place: int) -> bool:
    """Whether a quote within a line ends what it quotes: no blank before it."""
    return not line[place - 1].isspace() and line[place - 1] not in "([{"


def unbracketed(line: str) -> str:
    """Without brackets around the whole, and without those at an end whose other one is missing."""
    if line[:1] == line[-1:] == "|":
        return max(line.split("|"), key=len)
    if same := _SAME.fullmatch(line):
        return same[2]
    opening, closing = line[:1], _PAIRS.get(line[:1])
    if closing and len(line) > 1:
        depth = list(accumulate((letter == opening) - (letter == closing) for letter in line))
        if min(depth[:-1]) > 0:  # closed by the last character, or never
            return line[1 : len(line) - (depth[-1] == 0)]
    for opening, closing in _PAIRS.items():
        if line.endswith(closing) and line.count(closing) > line.count(opening):
            return line[:-1]
    return line
