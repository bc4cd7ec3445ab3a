"""Format part: rules on the text alone, 0 for a sound profile down to -1.

    -1    the completion could not be used (a fallback stands in), or the text is blank
    -n    length outside [min_words, max_words], falling linearly to -1 at 0 words and at twice max_words
    -1/2  a withheld title stands in it word for word (of two words or more: "Heat" may occur by chance)
    -1/2  some three words in a row occur three times or more

Penalties add up and stop at -1. A user's withheld titles are those of its withheld items, an item's those that stand
next to it in a user's training rows, where one of the two rows is withheld.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import torch

from pte.reward.base import PartScore
from pte.reward.data import RewardData
from pte.reward.space import Space
from pte.schema import require


class Format:
    """Rules on length, copying and repetition."""

    def __init__(self, *, min_words: int = 15, max_words: int = 90) -> None:
        between = f"above 0 and below reward.parts.format.max_words={max_words}"
        require(0 < min_words < max_words, "reward.parts.format.min_words", min_words, between)
        self.min_words, self.max_words = min_words, max_words

    def score(self, data: RewardData, space: Space, generator: torch.Generator) -> PartScore:
        titles, parsed, device = withheld_titles(data), data.parsed.tolist(), data.vector.device
        rows = [
            [self.penalty(text, titles.get(x, set())) if parsed[x][k] else -1.0 for k, text in enumerate(texts)]
            for x, texts in enumerate(data.text)
        ]
        every = torch.ones(len(rows), dtype=torch.bool, device=device)
        return PartScore(torch.tensor(rows, dtype=torch.float32, device=device), every)

    def penalty(self, text: str, titles: set[str]) -> float:
        """The rules for one text; titles in lower case."""
        words = text.lower().split()
        if not words:
            return -1.0
        short, long = self.min_words - len(words), len(words) - self.max_words
        length = max(short / self.min_words, long / self.max_words, 0.0)
        low = " ".join(words)
        copied = any(title in low for title in titles)
        triples = list(zip(words, words[1:], words[2:], strict=False))
        repeated = len(set(triples)) <= len(triples) - 2 and max(Counter(triples).values()) >= 3
        return max(-1.0, -length - 0.5 * copied - 0.5 * repeated)


def withheld_titles(data: RewardData) -> dict[int, set[str]]:
    """Lower-case titles of two words or more that an entity's profile should not contain, by its row."""
    split = [title.lower().split() for title in data.title]
    title = [" ".join(words) if len(words) > 1 else "" for words in split]
    titles: dict[int, set[str]] = defaultdict(set)
    user, item, withheld = data.row_user.tolist(), data.row_item.tolist(), data.withheld.tolist()
    for row, (u, i) in enumerate(zip(user, item, strict=True)):
        if withheld[row]:
            titles[u].add(title[i])
        if row and user[row - 1] == u and (withheld[row] or withheld[row - 1]):
            before = item[row - 1]
            titles[i].add(title[before])
            titles[before].add(title[i])
    return {x: others - {"", title[x]} for x, others in titles.items()}
