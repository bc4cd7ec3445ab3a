"""What can be wrong with an answer that is not to be embedded as it is: found from the texts alone.

unusable   nothing can be read out of it (empty, declined, cut before its first whole sentence)
short      fewer words beyond the lead than a profile has
copy       of 8 words or more, with more than 60 % of its 4-grams in the prompt (ours)
language   of 8 words or more hardly one in ten is a word that the requested language cannot do without, or its letters
           are of another script than the prompt's
address    it speaks to who asked, or of itself ("I'm not sure", "can you please"), outside of quotes
year       it names a year that the prompt does not
long       more words than a profile has, or cut at the token limit: its first whole sentences are kept
json       JSON was asked for and what came is none, but a summary can be read out of it
duplicate  the words of another candidate of the same entity, but for one in ten (Jaccard index)

The first six are grave: such a text is not used. The others are used where asking once more brings nothing better.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from pte.profiler.base import CUT, FAILED, Completion
from pte.profiler.prompt import Prompt
from pte.profiler.text import parse
from pte.profiler.text.style import Answer

GRAVE = ("unusable", "short", "copy", "language", "address", "year")
FAULTS = (*GRAVE, "long", "json", "duplicate")
FINAL = (FAILED, "refusal", "content_filter")  # finish reasons that `retries` does not ask again
COPIED, ALIKE, COMMON = 0.6, 0.9, 0.1
FEW = 8  # words; shares of fewer mean nothing
FEW_TEXTS = 64  # whose words are remembered: of the candidates of an entity or two
_QUOTED = re.compile(r"[\"“][^\"”]*[\"”]|(?<!\w)'[^']*(?:'\w[^']*)*'")
_ADDRESS = re.compile(
    r"\bI(?:['’](?:m|ll|ve|d)| (?:am|can(?:not)?|could|will|would|have|think|do|don['’]t|was|need|want))\b"
    r"|\b(?:[Cc]an|[Cc]ould|[Ww]ould) you\b|\b(?:help|tell|give) me\b"
    r"|\b[Yy]our (?:next|question|request|sentence|response|answer|input)\b|\b(?:[Ll]anguage model|AI assistant)\b"
)
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?![\ds])")  # and no decade


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def fault(prompt: Prompt, done: Completion, profile: str | None, limits: Answer, others: Sequence[str]) -> str:
    """The first of FAULTS that applies, "" where none does.

    profile: what is read out of the answer; others: profiles of the same entity without their leads.
    """
    if profile is None:
        return "unusable"
    body = parse.beyond_lead(prompt.lead, done.text)
    tokens = words(body)
    least, most = limits.words
    if len(tokens) < least:
        return "short"
    if len(tokens) >= FEW and copied(tokens, prompt.prefix()) > COPIED:
        return "copy"
    if len(tokens) >= FEW and (foreign(tokens, limits.common) or script(body) != script(prompt.instruction)):
        return "language"
    if any(match[0] not in prompt.data for match in _ADDRESS.finditer(_QUOTED.sub("", profile))):  # I'm Not There
        return "address"
    if not set(_YEAR.findall(profile)) <= set(_YEAR.findall(prompt.prefix())):
        return "year"
    if len(tokens) > most or done.finish == CUT:
        return "long"
    if parse.breaks_json(prompt.lead, done.text):
        return "json"
    own = bag(profile.removeprefix(prompt.lead))
    if any(jaccard(own, bag(other)) >= ALIKE for other in others):
        return "duplicate"
    return ""


def copied(tokens: Sequence[str], source: str) -> float:
    """The share of the 4-grams of `tokens` that occur in `source`."""
    own, known = grams(tokens), grams_of(source)
    return sum(gram in known for gram in own) / max(len(own), 1)


def grams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """Every 4 words in a row."""
    return list(zip(*(tokens[i:] for i in range(4)), strict=False))


@lru_cache(FEW_TEXTS)
def grams_of(text: str) -> frozenset[tuple[str, ...]]:
    """Those of a prompt, which the candidates of an entity share."""
    return frozenset(grams(words(text)))


@lru_cache(FEW_TEXTS)
def bag(text: str) -> frozenset[str]:
    """The distinct words of a text, which stands beside several others in turn."""
    return frozenset(words(text))


def foreign(tokens: Sequence[str], common: frozenset[str]) -> bool:
    return bool(common) and sum(word in common for word in tokens) < COMMON * len(tokens)


def script(text: str) -> str:
    """The script most letters are of, by the first word of their Unicode names: LATIN, CYRILLIC, CJK ..."""
    if text.isascii():  # the same without a look at every letter
        return "LATIN" if any(map(str.isalpha, text)) else ""
    scripts = Counter(unicodedata.name(c, "?").split()[0] for c in text if c.isalpha())
    return scripts.most_common(1)[0][0] if scripts else ""


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """|A & B| / |A | B|; 0 where both are empty."""
    return len(one & other) / max(len(one | other), 1)


def central(texts: Sequence[str]) -> int:
    """The place of the text that shares most words with the others (mean Jaccard index), the first of equals."""
    bags = [bag(text) for text in texts]
    likeness = [sum(jaccard(a, b) for b in bags) for a in bags]
    return likeness.index(max(likeness))
