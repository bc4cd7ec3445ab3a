"""From a raw completion to a profile: whole sentences, one paragraph, no list, no link, nothing said twice.

The prompt's lead is part of the answer ("It suits people who" + " love trains."). A JSON answer gives its summary and
tags alone: reasoning or contrast blur an embedding (RLMRec, arXiv 2310.15950, embeds the summary only).
"""

from __future__ import annotations

import json
import re

from pte.profiler.prompt import JSON_LEAD
from pte.profiler.text import clean

SENTENCES = 3
LENGTH = 400  # characters of a profile, never cut by a default of max_new_tokens
MIN_WORDS = 2  # beyond the lead

_END = re.compile(r"(?<=[.!?])['’)]?\s+(?=[A-Z0-9'(])")
_LIST = re.compile(r"(?:^|\s)(?:[-*•#]+|\(?\d{1,2}[.)])\s")
_LINK = re.compile(r"https?:|www\.|\.com\b", re.IGNORECASE)
_LABEL = re.compile(
    r"^(?:answer|assistant|description|summary|profile|sure|here (?:is|are)[^:]*)[:!,]\s*", re.IGNORECASE
)


def read(lead: str, completion: str) -> str | None:
    """The profile in lead + completion, or None where there is none to use."""
    if lead == JSON_LEAD:
        return _read_json(completion)
    said = completion.strip()
    if said.startswith(lead):  # a served chat model repeats the words it was told to begin with
        said = said.removeprefix(lead)
    paragraph = said.strip().split("\n", 1)[0]
    paragraph = _LABEL.sub("", paragraph.strip())
    glue = "" if paragraph[:1] in tuple(",:;.!?'") else " "
    return _sentences(lead + glue + paragraph, given=len(lead.split()))


def _sentences(text: str, given: int) -> str | None:
    """The first whole sentences; what breaks off in the middle stays only where nothing else is there."""
    text = _LIST.split(clean(text, LENGTH), maxsplit=1)[0].replace("…", "").rstrip(" ,;:-–(")
    parts = [part.strip() for part in _END.split(text) if not _LINK.search(part)]
    whole = [part for part in dict.fromkeys(parts) if part[-1:] in tuple(".!?'")]
    chosen = whole[:SENTENCES] or [f"{part}." for part in parts[:1]]
    if not chosen or len(" ".join(chosen).split()) < given + MIN_WORDS:
        return None
    return " ".join(chosen)


def _read_json(completion: str) -> str | None:
    """summary and tags of {"summary": ..., "tags": [...]}; a broken object gives its summary alone."""
    text = completion.strip()
    before, named, _ = text.partition('"summary"')
    text = text[before.index("{") :] if named and "{" in before else JSON_LEAD + text
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
        summary, tags = str(value.get("summary", "")), value.get("tags", [])
    except (ValueError, AttributeError):
        found = re.search(r'"summary":\s*"((?:[^"\\]|\\.)*)', text)
        summary, tags = (found[1] if found else ""), []
    profile = _sentences(summary, given=0)
    words = [clean(str(tag), 30) for tag in tags[:8]] if isinstance(tags, list) else []
    return profile and " ".join([profile, *([", ".join(words) + "."] if words else [])])
