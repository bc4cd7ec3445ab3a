"""From a raw completion to a profile: whole sentences, one paragraph, no list, no link, nothing said twice.

The prompt's lead is part of the answer ("It suits people who" + " love trains."). A JSON answer gives its summary and
tags alone: reasoning or contrast blur an embedding (RLMRec, arXiv 2310.15950, embeds the summary only). What a chat
model writes around its answer goes: reasoning, channel markers, a preamble, bold type, a repetition of the lead.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pte.profiler.base import CUT
from pte.profiler.text.clean import clean
from pte.profiler.text.refusal import declines
from pte.profiler.text.style import JSON_LEAD, Answer
from pte.profiler.text.wrapping import answer, begins, body, broken_strings, object_place, object_text

SHORT = Answer()  # one to three sentences
LEAST = 2  # words beyond the lead, where a style asks for no fewer

_STOP = ".!?。！？．।۔؟"
_END = re.compile(r"(?<=[.!?।۔؟])['’)\]]*\s+(?=['(¿¡]*[^\W_])|(?<=[。！？．])['’)」』]*\s*(?=\S)")
_WHOLE = re.compile(rf"[{_STOP}]['’)\]」』]*$|'$")
_INITIAL = re.compile(r"(?:^|[\s(.'-])([^\W\d_])\.$")  # John C. Reilly, J.-P. Melville, the U.S. Marshals
_SHORT = re.compile(  # a title or another word that is cut short, and goes on
    r"(?:^|[\s(.'-])(?:dr|mr|mrs|ms|messrs|mme|mlle|st|ste|mt|ft|jr|sr|prof|lt|sgt|capt|cpl|col|gen|gov|sen|rep|rev|hon|vs?|feat"
    r"|bros|inc|ltd|co|corp|dept|univ|est|approx|incl|esp|cf|e\.g|i\.e|a\.k\.a|viz|wm|geo|chas|thos|jas|ave|blvd"
    r"|z(?:\.? ?b)?|d\.? ?h|u\.? ?[ao]|bzw|vgl|ggf|sra|srta|dra|sig|dott|им|проф|ул)\.$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(  # one that a number follows
    r"(?:^|[\s(.'-])(?:nos?|nr|vols?|pts?|chs?|eps?|figs?|arts?|secs?|bks?|eds?|pp?|ca?|op|v|ver|nº|№"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d|[IVXLC]+\b")
_MARK = re.compile(r"(?:^|\s)(?:([*•#]+)|[-–]+|\(?(\d{1,2})[.)])\s")  # of an item of a list
_SECOND = re.compile(r"\s\(?2[.)]\s")
_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]|[^\s\u2e80-\u9fff\uac00-\ud7af]+")  # without blanks: a letter
_LINK = re.compile(  # Battle.net and ASP.NET are products
    r"(?i:https?:|www\.)|(?<![A-Za-z\d])[a-z\d-]+\.(?:com|org|info|edu|gov|co\.uk)\b|\S@\S+\.\w"
)
_OFFER = re.compile(  # a sentence about the answer, to who asked
    r"\(?(?:(?:please )?(?:let me know|feel free)|(?:i )?hope (?:this|that|it)|(?:would|do) you (?:like|want) me"
    r"|(?:is there )?anything else|word count|\d+ words)\b|\(?(?:p\.?s\.?|note)[:,]"
    r"|.*\b(?:let me know if|feel free to|(?:help|assist) you with)\b",
    re.IGNORECASE,
)
_GLUED = re.compile(r"[,:;.!?]|['’](?:s|re|ve|ll|d|m)\b")  # what follows the lead without a blank


def read(lead: str, completion: str, finish: str = "", limits: Answer = SHORT) -> str | None:
    """The profile in lead + completion, or None where there is none to use.

    `limits` on how much of it stays. `finish` is the server's finish reason: with "length" the answer was cut and ends
    at its last whole sentence.
    """
    text, cut = answer(completion), finish == CUT
    if refuses(lead, completion):
        return None
    if lead == JSON_LEAD:
        return _read_json(text, limits, cut)
    paragraph = body(lead, text)
    glue = "" if _GLUED.match(paragraph) else " "
    return _sentences(lead + glue + paragraph, limits, given=len(lead.split()), cut=cut)


def refuses(lead: str, completion: str) -> bool:
    """Whether a model declines to answer ("I'm sorry, but ...") instead of writing a profile."""
    text = answer(completion)
    return declines(beyond_lead(lead, completion)) or (not begins(text, lead) and declines(text))


def beyond_lead(lead: str, completion: str) -> str:
    """What an answer says beyond its lead, before anything of it is cut: of JSON the summary."""
    text = answer(completion)
    return _summary(text)[0] if lead == JSON_LEAD else body(lead, text)


def breaks_json(lead: str, completion: str) -> bool:
    """Whether JSON was asked for and what came is no such object with a summary, tags and a contrast."""
    if lead != JSON_LEAD:
        return False
    value = _object(_json(answer(completion)))
    kinds = {"summary": str, "tags": list, "contrast": str}
    return not all(isinstance(value.get(name), kind) for name, kind in kinds.items())


def _split(text: str) -> list[str]:
    """Sentences; the full stop of an initial, a title or a number's word ("John C.", "Dr. No", "vol. 2") ends none."""
    parts, start = [], 0
    for match in _END.finditer(text):
        before, after = text[start : match.start()], text[match.end() :].lstrip("'(¿¡")
        if not (after[:1].islower() or _goes_on(before) or (_NUMBER.match(after) and _NUMBERED.search(before))):
            parts.append(text[start : match.end()].strip())
            start = match.end()
    return [*parts, text[start:].strip()]


def _goes_on(text: str) -> bool:
    """Whether a text ends with a word that is cut short, and with no sentence."""
    initial = _INITIAL.search(text)
    return bool(_SHORT.search(text) or (initial and initial[1].isupper()))


def _before_list(text: str, given: int) -> str:
    """What stands before the items of a list: marks after a colon, a sentence, or the `given` words; 1. and then 2."""
    for match in _MARK.finditer(text):
        before = text[: match.start()].rstrip()
        begins = len(before.split()) <= given or (before[-1:] in tuple(":;.!?") and not _numbers(before))
        if match[1] or begins or (match[2] == "1" and _SECOND.search(text, match.end() - 1)):
            return before
    return text


def _numbers(text: str) -> bool:
    """Whether a text ends with a word that a number follows, as in "No. 5. They"."""
    return bool(_goes_on(text) or _NUMBERED.search(text))


def _sentences(text: str, limits: Answer, given: int, cut: bool) -> str | None:
    """The first whole sentences; what breaks off stays only where nothing else is there and the answer was not cut."""
    text = clean(text.replace("…", "..."), limits.characters)
    text = _before_list(text, given).rstrip(" …,;:-–(")
    parts = [part for part in _split(text) if not (_LINK.search(part) or _OFFER.match(part))]
    whole = [part for part in dict.fromkeys(parts) if _WHOLE.search(part)]
    if cut and whole and whole[-1] == parts[-1] and _numbers(whole[-1]):
        whole = whole[:-1]
    sentences = whole[: limits.sentences] or [f"{part}." for part in parts[:1] if not cut]
    if not sentences or len(_WORD.findall(" ".join(sentences))) < given + min(LEAST, limits.words[0]):
        return None
    return " ".join(sentences)


def _read_json(text: str, limits: Answer, cut: bool) -> str | None:
    """summary and tags of {"summary": ..., "tags": [...]}; a broken object gives its summary alone."""
    summary, tags, whole = _summary(text)
    profile = _sentences(summary, limits, given=0, cut=cut and not whole)
    words = [clean(tag, 30) for tag in tags[:8]]
    return profile and " ".join([profile, *([", ".join(words) + "."] if words else [])])


def _json(text: str) -> str:
    """An answer's JSON: what goes on from the lead, or an object with or without its name `summary`."""
    before, named, _ = text.partition('"summary"')
    place = before.index("{") if named and "{" in before else object_place(text)
    return JSON_LEAD + text if place is None else text[place:]


def _object(text: str) -> dict[str, Any]:
    """What a JSON text begins with, {} where that is no object."""
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _summary(text: str) -> tuple[str, list[str], bool]:
    """The summary, the tags, and whether the summary's end is there; where it is no text, one inside or beside it."""
    written = _json(text)
    if value := _object(written):
        summary, tags = value.get("summary"), value.get("tags", [])
        tags = [str(tag) for tag in tags if isinstance(tag, str | int)] if isinstance(tags, list) else []
        return (summary if isinstance(summary, str) else object_text(json.dumps(summary or value))), tags, True
    if written == JSON_LEAD + text and not re.search(r'"\s*[,}]', text):
        return body("", text), [], False  # sentences, no JSON
    pairs = {name: (text, whole) for name, text, whole in broken_strings(written)}
    text, whole = pairs.get("summary", (object_text(written), False))
    return text, [], whole
