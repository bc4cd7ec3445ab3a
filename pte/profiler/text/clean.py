"""Item text is data: cleaned, capped and put in quotes before a prompt or a profile shows it.

A title may hold anything: line breaks that fake a section, a chat template's special tokens, ten thousand letters, an
order to the model. Here control and direction characters go, `<|...|>`, `[INST]` and `<start_of_turn>` style tokens
go, double quotes become single ones, blanks collapse and the length is capped; so nothing in a title can close the
quotes or the line it stands in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property

from pte.schema import Items

NAME_LENGTH = 80  # characters of a title; ours: 95 % of real titles are shorter
LABEL_LENGTH = 80  # characters of one metadata column in a prompt
SINGLE = str.maketrans(dict.fromkeys('"“”„«»', "'"))
UNKNOWN = "an item without a description"

# Special tokens of chat templates: <|im_end|>, <｜User｜>, [INST], <<SYS>>, <s>, <start_of_turn>, <unused7>, <eos> ...
SPECIAL = re.compile(
    r"<[|｜].*?[|｜]>|<[|｜]|[|｜]>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|IMG)\]|<</?SYS>>"
    r"|</?(?:s|pad|unk|bos|eos|mask|think|tool_call|image|start_of_turn|end_of_turn|unused\d+|reserved\w*)>",
    re.IGNORECASE,
)


def clean(text: str, limit: int) -> str:
    """One line of plain text, at most `limit` characters, without special tokens or double quotes."""
    text = text[: 20 * limit]  # a title of megabytes is not worth reading to its end
    if not (text.isascii() and text.isprintable()):  # else the same, letter by letter
        text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    before = None
    while text != before:  # taking one token out may put another together
        before, text = text, SPECIAL.sub(" ", text)
    text = " ".join(text.translate(SINGLE).split())
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:-") + "…"


def label(text: str, limit: int = LABEL_LENGTH) -> str:
    """Metadata in few words: of category paths `A > B > C | D > E` the two last names each, roots left out."""
    if " > " in text:
        paths = [[part.strip() for part in path.split(" > ")] for path in text.split(" | ")]
        names = [name for path in paths for name in path[1:][-2:]]
        text = ", ".join(dict.fromkeys(names))
    return clean(text, limit)


class Catalogue:
    """Names and labels of all items as prompts show them, index 0 empty."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.columns = list(items.text)

    @cached_property
    def name(self) -> list[str]:
        """(N+1,) titles; where a title is unknown the first text column that says something stands in."""
        columns = [self.items.title, *self.items.text.values()]
        names = [
            next((cleaned for column in row if (cleaned := clean(column, NAME_LENGTH))), UNKNOWN)
            for row in zip(*columns, strict=True)
        ]
        return ["", *names[1:]]

    @cached_property
    def kind(self) -> list[str]:
        """(N+1,) what an item belongs to: the column that names categories or genres, else the first text column."""
        if not self.columns:
            return [""] * len(self.items.item_id)
        known = [c for c in self.columns if re.search(r"categor|genre|class|tags?$|type", c, re.IGNORECASE)]
        column = self.items.text[known[0] if known else self.columns[0]]
        return ["", *(label(text) for text in column[1:])]

    @cached_property
    def kinds(self) -> list[list[str]]:
        """(N+1,) the single categories of each item."""
        return [[part.strip() for part in kind.split(",") if part.strip()] for kind in self.kind]

    def facts(self, item: int) -> list[str]:
        """Lines `column: text` of everything known beside the title."""
        labels = ((column, label(self.items.text[column][item])) for column in self.columns)
        return [f"{clean(column, 30)}: {text}" for column, text in labels if text]

    def sentence(self, item: int) -> str:
        """Plain metadata as one line: title, then its texts."""
        texts: Sequence[str] = [label(self.items.text[column][item], 200) for column in self.columns]
        return ". ".join(dict.fromkeys([self.name[item], *(text for text in texts if text)])) + "."
