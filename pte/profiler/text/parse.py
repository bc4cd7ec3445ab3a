"""From a raw completion to a profile: whole sentences, one paragraph, no list, no link, nothing said twice.

The prompt's lead is part of the answer ("It suits people who" + " love trains."). A JSON answer gives its summary and
tags alone: reasoning or contrast blur an embedding (RLMRec, arXiv 2310.15950, embeds the summary only). What a chat
model writes around its answer goes: reasoning, channel markers, a preamble, bold type, a repetition of the lead.
"""

from __future__ import annotations

import json
import re

from pte.profiler.base import CUT
from pte.profiler.text.clean import SPECIAL, clean
from pte.profiler.text.style import JSON_LEAD, Answer

SHORT = Answer()  # one to three sentences
LEAST = 2  # words beyond the lead, where a style asks for no fewer

_STOP = ".!?。！？．।۔؟"
_END = re.compile(r"(?<=[.!?।۔؟])['’)\]]*\s+(?=['(¿¡]*[^\W_])|(?<=[。！？．])['’)」』]*\s*(?=\S)")
_WHOLE = re.compile(rf"[{_STOP}]['’)\]」』]*$|'$")
_INITIAL = re.compile(r"(?:^|[\s(.'-])([^\W\d_])\.$")  # John C. Reilly, J.-P. Melville, the U.S. Marshals
_SHORT = re.compile(  # a title or another word that is cut short, and goes on
    r"(?:^|[\s(.'-])(?:dr|mr|mrs|ms|messrs|mme|mlle|st|ste|mt|ft|jr|sr|prof|lt|sgt|capt|cpl|col|gen|gov|sen|rep|rev|hon|vs?|feat"
    r"|bros|inc|ltd|co|corp|dept|univ|est|approx|incl|esp|cf|e\.g|i\.e|a\.k\.a|viz)\.$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(  # one that a number follows
    r"(?:^|[\s(.'-])(?:nos?|nr|vols?|pts?|chs?|eps?|figs?|arts?|secs?|bks?|eds?|pp?|ca?|op"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.$",
    re.IGNORECASE,
)
_MARK = re.compile(r"(?:^|\s)(?:([*•#]+)|[-–]+|\(?(\d{1,2})[.)])\s")  # of an item of a list
_SECOND = re.compile(r"\s\(?2[.)]\s")
_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]|[^\s\u2e80-\u9fff\uac00-\ud7af]+")  # without blanks: a letter
_LINK = re.compile(  # Battle.net and ASP.NET are products
    r"(?i:https?:|www\.)|(?<![A-Za-z\d])[a-z\d-]+\.(?:com|org|info|edu|gov|co\.uk)\b|\S@\S+\.\w"
)
_LABEL = re.compile(
    r"^(?:(?:(?:final )?answer|(?:item |user )?(?:profile|description)|assistant|summary|result|output|response"
    r"|sure|great|certainly|of course|okay|ok|absolutely|got it|understood)(?:[:!,.]|\s+[-–—])"
    r"|(?:here(?:'s| is| are)|below is|based on)\b[^:\n]{0,80}:)\s*",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<![\w*_])[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?![\w*_])|`+|^#+\s+", re.MULTILINE)
_THINK = r"(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|details):?\s*"
_OPEN, _CLOSE = (
    re.compile(rf"[<◁]{end}{_THINK}[>▷]|\[{end}THINK\]|{others}", re.IGNORECASE | re.MULTILINE)
    for end, others in (
        ("", r"<\|(?:begin_of|start)_(?:thought|thinking)\|>|<\|channel>\s*thought|<unused94>|^Thinking\.\.\.$"),
        ("/", r"<\|end_(?:of_)?(?:thought|thinking)\|>|<channel\|>|<unused95>|^\.\.\.done thinking\.$"),
    )
)
_TAG = re.compile(  # around an answer: <answer>, <p>
    r"</?(?:answer|final|output|response|result|solution|profile|p|b|i|em|strong|span|div|br)\s*/?>", re.IGNORECASE
)
_QUOTES = ('""', "''", "“”", "„“", "«»", "»«", "‘’", "‚‘", "「」", "『』", "()", "[]")
_BLOCK = re.compile(rf"(?:{_OPEN.pattern}).*?(?:{_CLOSE.pattern})", re.IGNORECASE | re.DOTALL | re.MULTILINE)
_OFFER = re.compile(
    r"(?:please )?(?:let me know|feel free)\b|(?:i )?hope (?:this|that|it)\b|would you like me\b", re.IGNORECASE
)
HEADING_WORDS = 6  # at most, of a line without a full stop above the answer
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_BARE_FINAL = re.compile(r"\Aanalysis(?![a-z ]).*assistantfinal", re.DOTALL)  # Harmony without its markers
_REFUSAL = re.compile(
    r"(?:i'm|i am|we're|we are)? ?(?:very |so |really )?sorry\b|(?:i|my) apolog"
    r"|as an? (?:\w+ )?(?:ai|language model|assistant)\b|(?:i'm|i am) afraid (?:i|we|that)\b"
    r"|i(?:'d| would) rather not\b|i (?:must|have to) decline\b|i (?:don't|do not) know\b"
    r"|it(?:'s| is) (?:not|im)\s?possible (?:for me|to)\b"
    r"|no (?:\w+ )?information (?:is|was)\b|(?:je suis )?désolée?\b|lo siento\b|(?:es )?tut mir leid\b|mi dispiace\b"
    r"|抱歉|对不起|申し訳"
    r"|(?:unfortunately,? )?(?:i|we) (?:can(?:not|'t| not)|won't|will not|(?:am|are|'m) (?:not able|unable)"
    r"|do(?: not|n't) have)\b|(?:i'm|we're) (?:not able|unable|an ai|a language model|just an? )"
    r"|(?:there is|there's) (?:not enough|insufficient|no) (?:information|data)"
    r"|(?:this|the|your) (?:request|prompt|content) (?:violates|cannot|can't|was flagged|is against)",
    re.IGNORECASE,
)


def read(lead: str, completion: str, finish: str = "", limits: Answer = SHORT) -> str | None:
    """The profile in lead + completion, or None where there is none to use.

    `limits` on how much of it stays. `finish` is the server's finish reason: with "length" the answer was cut and ends
    at its last whole sentence.
    """
    text = answer(completion)
    if lead == JSON_LEAD:
        return _read_json(text, limits, cut=finish == CUT)
    paragraph = _after_lead(lead, text)
    if _REFUSAL.match(_plain(paragraph)) or _REFUSAL.match(_plain(text)):
        return None
    glue = "" if paragraph[:1] in tuple(",:;.!?'") else " "
    return _sentences(lead + glue + paragraph, limits, given=len(lead.split()), cut=finish == CUT)


def refuses(lead: str, completion: str) -> bool:
    """Whether a model declines to answer ("I'm sorry, but ...") instead of writing a profile."""
    text = answer(completion)
    if lead == JSON_LEAD:
        return bool(_REFUSAL.match(_plain(text)) or _REFUSAL.match(_plain(_summary(text)[0])))
    return bool(_REFUSAL.match(_plain(_after_lead(lead, text))) or _REFUSAL.match(_plain(text)))


def beyond_lead(lead: str, completion: str) -> str:
    """What an answer says beyond its lead, before anything of it is cut: of JSON the summary."""
    text = answer(completion)
    return _summary(text)[0] if lead == JSON_LEAD else _after_lead(lead, text)


def breaks_json(lead: str, completion: str) -> bool:
    """Whether JSON was asked for and what came is no such object with a summary, tags and a contrast."""
    if lead != JSON_LEAD:
        return False
    text = answer(completion)
    before, named, _ = text.partition('"summary"')
    try:
        value = json.loads(text[before.index("{") :] if named and "{" in before else JSON_LEAD + text)
    except ValueError:
        return True
    kinds = {"summary": str, "tags": list, "contrast": str}
    return not all(isinstance(value.get(name), kind) for name, kind in kinds.items())


def answer(completion: str) -> str:
    """A completion without its reasoning: think blocks, also unopened or unclosed ones, and Harmony's channels."""
    final = list(_FINAL.finditer(completion))
    if final:
        completion = completion[final[-1].end() :]
        completion = re.split(r"<\|(?:return|end|start|channel)\|>", completion, maxsplit=1)[0]
    elif "<|channel|>" in completion:
        return ""  # an analysis or commentary alone
    text = _BLOCK.sub(" ", _BARE_FINAL.sub("", completion))
    closed = list(_CLOSE.finditer(text))
    text = text[closed[-1].end() :] if closed else text
    opened = _OPEN.search(text)
    return (text[: opened.start()] if opened else text).strip()


def _after_lead(lead: str, text: str) -> str:
    """The line that answers, without preamble, label, bold type, quotes and a repetition of the lead."""
    text = _EMPHASIS.sub("", _TAG.sub("", SPECIAL.sub(" ", text.replace("\u200b", "").replace("\ufeff", ""))))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    lines = [_unlabelled(line) for line in lines]
    begins = [_begins(line, lead) for line in lines]
    while len(lines) > 1 and (not lines[0] or (_is_heading(lines[0]) and not begins[0] and any(begins[1:]))):
        lines, begins = lines[1:], begins[1:]
    if not lines:
        return ""
    rest = lines[0][begins[0] :].strip()
    if begins[0]:  # the lead, and what it leads to after a colon or on the next line
        rest = re.sub(r"^[: ]*(?:\.\.\.|…|[-–—](?= ))? *", "", rest) or " ".join(lines[1:2])
    return rest


def _is_heading(line: str) -> bool:
    return line.endswith(":") or (line[-1] not in ".!?" and len(line.split()) <= HEADING_WORDS)


def _unlabelled(line: str) -> str:
    """A line without the words before an answer, as `Sure! Here is the profile:`."""
    before = None
    while line != before:
        before, line = line, _LABEL.sub("", line.strip())
    wrapped = len(line) > 1 and line[0] + line[-1] in _QUOTES and not {line[0], line[-1]} & set(line[1:-1])
    return line[1:-1].strip() if wrapped else line


def _begins(line: str, lead: str) -> int:
    """Characters of a line's beginning that repeat the lead, in whatever case; 0 where none do."""
    words = re.sub("['’ʼ′]", "['’ʼ′]", r"\s+".join(map(re.escape, lead.split())))
    mark = r"(?:(?:[>*•·–—-]+|\(?(?:\d{1,2}|[a-z])[.)])\s+)?"
    match = re.match(rf"{mark}[\"'“‘„«»‚「『]?\s*{words}(?!\w)", line, re.IGNORECASE)
    return match.end() if match else 0


def _plain(text: str) -> str:
    return text.replace("’", "'").strip(" \"'*“”\n")


def _split(text: str) -> list[str]:
    """Sentences; the full stop of an initial, a title or a number's word ("John C.", "Dr. No", "vol. 2") ends none."""
    parts, start = [], 0
    for match in _END.finditer(text):
        before, after = text[start : match.start()], text[match.end() :].lstrip("'(¿¡")
        if not (after[:1].islower() or _goes_on(before) or (after[:1].isdigit() and _NUMBERED.search(before))):
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
    if _REFUSAL.match(_plain(summary)) or _REFUSAL.match(_plain(text)):
        return None
    profile = _sentences(summary, limits, given=0, cut=cut and not whole)
    words = [clean(tag, 30) for tag in tags[:8]]
    return profile and " ".join([profile, *([", ".join(words) + "."] if words else [])])


def _summary(text: str) -> tuple[str, list[str], bool]:
    """The summary, the tags, and whether the summary's closing quote is there; other types than asked are left out."""
    before, named, _ = text.partition('"summary"')
    text = text[before.index("{") :] if named and "{" in before else JSON_LEAD + text
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
        summary, tags = value.get("summary", ""), value.get("tags", [])
    except (ValueError, AttributeError):
        match = re.search(r'"summary":\s*"((?:[^"\\]|\\.)*)("?)', text)
        return (match[1], [], bool(match[2])) if match else ("", [], False)
    if isinstance(summary, list) and all(isinstance(part, str) for part in summary):
        summary = " ".join(summary)
    tags = [tag for tag in tags if isinstance(tag, str | int)] if isinstance(tags, list) else []
    return (summary if isinstance(summary, str) else ""), [str(tag) for tag in tags], True
