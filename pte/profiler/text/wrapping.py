"""What a chat model writes around its answer, taken off by rule: reasoning, channels, further turns of a conversation,
fences, tags, LaTeX, JSON, labels, quotes, brackets, bold type, and what it repeats of the prompt's lead.
"""

from __future__ import annotations

import ast
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from pte.profiler.text.quote import QUOTE, unbracketed, unquoted

LONGEST = 10_000  # characters of an answer that are looked at; profiles have a few hundred
DEEPEST = 9  # wrappings around one another that are taken off
RECENT = 4  # answers whose reading is remembered: several ask for it in a row
HEADING_WORDS = 6  # at most, of a line without a full stop above the answer
_THINK = r"(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|details):?\s*"
_OPEN, _CLOSE = (
    re.compile(rf"[<◁]{end}{_THINK}[>▷]|\[{end}THINK\]|{others}", re.IGNORECASE | re.MULTILINE)
    for end, others in (
        ("", r"<\|(?:begin_of|start)_(?:thought|thinking)\|>|<\|channel>\s*thought|<unused94>|^Thinking\.\.\.$"),
        ("/", r"<\|end_(?:of_)?(?:thought|thinking)\|>|<channel\|>|<unused95>|^\.\.\.done thinking\.$"),
    )
)
_BLOCK = re.compile(rf"(?:{_OPEN.pattern}).*?(?:{_CLOSE.pattern})", re.IGNORECASE | re.DOTALL | re.MULTILINE)
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_BARE_FINAL = re.compile(r"\Aanalysis(?![a-z ]).*assistantfinal", re.DOTALL)  # Harmony without its markers
_TURN = re.compile(r"<[|｜][^|｜<>]*[|｜]>|</s>|<(?:start|end)_of_turn>|<eos>|\[/?INST\]", re.IGNORECASE)
_NOUN = (
    r"(?:answer|profile|description|summary|result|output|response|reply|completion|sentence|persona|paragraph"
    r"|(?:option|candidate|version|draft|example)s?(?: #?\w{1,2})?)"
)
_LABEL = re.compile(
    r"(?:(?-i:Sure|Great|Certainly|Of course|Okay|OK|Ok|Absolutely|Got it|Understood|Alright|Yes|Hello|Hi|Thanks"
    r"|Thank you|No problem|Happy to help)\b(?:(?: [\w']+){0,3}!|[:,.]|\s+[-–—])"
    rf"|(?:(?-i:[A-Z])[\w'’]*(?: [\w'’#()-]+){{0,6}} )?{_NOUN}(?: ?\(|(?: (?:of|for|in|that|you|as|below|about)\b))?"
    r"(?: ?[\w'’#()-]+){0,6}?\s*(?:[:：|=]|\s[-–—])|(?:assistant|ai|model|a)[:：|]"
    r"|(?:here|below is|based on|given)\b[^:\n]{0,80}:)\s*",
    re.IGNORECASE,
)
_HEADING = re.compile(rf"(?:[\w'’]+ ){{0,3}}(?:{_NOUN}|assistant|json)", re.IGNORECASE)
_MARK = r"(?:\.{3}|…|[>*•·–—-]+|\(?(?:\d{1,2}|[a-z])[.)])\s+"  # of an item of a list
_LIST_MARK = re.compile(f"^{_MARK}")
_COMMENT = re.compile(r"<!--.*?-->|^\s*(?:`{3,}|~{3,})[\w-]*[ \t]*$", re.MULTILINE | re.DOTALL)  # and a fence
_TAG = re.compile(rf"</?[A-Za-z][\w:.-]*(?:\s+[\w:-]+=[^<>]*)?\s*/?>|\[/?{_NOUN}\]:?", re.IGNORECASE)
_LATEX = re.compile(r"\\[A-Za-z]+\s*\{([^{}]*)(?:\}|\Z)|\\[\[\]()]")
_BOXED = re.compile(r"\\f?boxed\s*\{((?:[^{}]|\{[^{}]*\})*)")
_EMPHASIS = re.compile(r"(?<![\w*_])[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?![\w*_])|`+|~~|^#+\s+", re.MULTILINE)
_REMARK = re.compile(rf"[{QUOTE}]([^{QUOTE}]+[.!?])[{QUOTE}]\s.*")  # behind a quotation of whole sentences
_NAME = r"\w{1,40}(?:[ -]\w{1,40}){0,4}"
_OBJECT = re.compile(rf"""\{{\s*(["']?){_NAME}\1\s*:""")
_STRING = re.compile(  # "name": "text", also one with quotes in it that no backslash escapes
    rf"""(["']?)\b({_NAME})\1\s*:\s*(["'])"""
    rf"""((?:\\.|(?!\3\s*(?:,\s*["']?{_NAME}["']?\s*:|,?\s*[}}\]]|\Z)).)*)(\3?)""",
    re.DOTALL,
)
_TELLING = re.compile(
    r"summary|profile|description|text|answer|content|response|result|output|completion|sentence", re.IGNORECASE
)
_ASIDE = re.compile(
    r"reason|thought|think|analysis|expla|rationale|contrast|note|evidence|\bid$|_id$|name|title|type|role|tag"
    r"|confidence|language|key|status|model",
    re.IGNORECASE,
)


@lru_cache(RECENT)
def answer(completion: str) -> str:
    """A completion without its reasoning (think blocks, also unopened or unclosed ones, Harmony's channels), and of a
    conversation that it goes on with the first turn alone.
    """
    final = list(_FINAL.finditer(completion))
    if final:
        completion = completion[final[-1].end() :]
    elif "<|channel|>" in completion:
        return ""  # an analysis or commentary alone
    text = _BARE_FINAL.sub("", completion)
    end = max((match.end() for match in _CLOSE.finditer(text)), default=0)
    text = _BLOCK.sub(" ", text[:end]) + text[end:]  # beyond the last end there is no block
    closed = list(_CLOSE.finditer(text))
    text = text[closed[-1].end() :] if closed else text
    opened = _OPEN.search(text)
    text = text[: opened.start()] if opened else text
    return next((turn[:LONGEST] for turn in map(str.strip, _TURN.split(text)) if _says(turn)), "")


def _says(turn: str) -> bool:
    """Whether a turn is more than its speaker's name."""
    return bool(turn) and not re.fullmatch(r"\s*(?:assistant|user|system|model)\s*", turn, re.IGNORECASE)


@lru_cache(RECENT)
def body(lead: str, text: str) -> str:
    """The line that answers, without what is written around it and without a repetition of the lead."""
    if (at := object_place(text)) is not None:
        text = object_text(text[at:], lead)
    if boxed := _BOXED.findall(text):
        text = boxed[-1]
    text = html.unescape(text.replace("\u200b", "").replace("\ufeff", ""))
    text = re.sub(r"\\n(?![a-z])", "\n", text)
    text = _limit_of(partial(_LATEX.sub, r"\1"), text)
    text = _TAG.sub("", _COMMENT.sub("", re.sub(r"\\([^\w\s\\])", r"\1", text)))
    text = _EMPHASIS.sub("", re.sub(r"([\"'])\1+", r"\1", text))
    lines = [_unwrapped(line, lead) for line in text.split("\n")[:99] if line.strip()]
    return _behind_lead(lines[_first(lines, lead) :], lead)


def _first(lines: list[str], lead: str) -> int:
    """Which line answers: the first that is no heading, or one below it that repeats the lead and so begins anew."""
    repeats = [_begins(line, lead) for line in lines]
    for at, line in enumerate(lines[:-1]):
        anew = any(repeats[at + 1 :]) and not line[:1].islower()
        if repeats[at] or not (anew or not _worded(line) or _HEADING.fullmatch(line)):
            return at
    return max(len(lines) - 1, 0)


def _behind_lead(lines: list[str], lead: str) -> str:
    """The first line without what it repeats of the lead, and without the mark to which the lead leads."""
    if not lines:
        return ""
    length = _begins(lines[0], lead)
    if not length:
        return lines[0][_overlap(lines[0], lead) :].strip()
    rest = unquoted(lines[0][length:].strip())
    mark = rf"^(?:[{QUOTE}]+(?=[\s.,:…-]|$))?[: ]*(?:\.\.\.|…|[-–—](?= ))? *"
    return re.sub(mark, "", rest) or " ".join(lines[1:2])


def begins(text: str, lead: str) -> bool:
    """Whether an answer repeats the lead at its very beginning."""
    return bool(lead) and bool(_whole(lead).match(text))


def object_place(text: str) -> int | None:
    """Where a JSON object begins that is the answer: nothing but headings before it. None where there is none."""
    place = _OBJECT.search(text)
    if place is None:
        return None
    before = [line for line in text[: place.start()].strip(" [\n").split("\n") if _worded(line)]
    heads = all(_is_heading(_LABEL.sub("", line.strip()) or ":") and '",' not in line for line in before)
    return place.start() if heads else None


def object_text(text: str, lead: str = "") -> str:
    """What an object says, also a broken one: the string that begins with the lead, else the longest by a telling
    name, else the longest that is no aside (reasoning, tags, a title).
    """
    pairs = list(_strings(text))
    own = [value for _, value in pairs if lead and _begins(value, lead)]
    telling = [value for name, value in pairs if _TELLING.search(name) and not _ASIDE.search(name)]
    other = [value for name, value in pairs if not _ASIDE.search(name)]
    return max(own or telling or other, key=len, default="")


def _strings(text: str) -> Iterator[tuple[str, str]]:
    """Names and strings of an object as JSON or Python writes it; of a broken one those that can be found."""
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        yield from ((name, string) for name, string, _ in broken_strings(text))
    else:
        yield from _leaves(value, "")


def broken_strings(text: str) -> Iterator[tuple[str, str, bool]]:
    """Names, strings, and whether their ends are there, of an object that is cut, not JSON, or full of quotes."""
    for match in _STRING.finditer(text):
        yield match[2], _unescaped(match[4], match[3]), bool(match[5])


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """A list of strings is one string."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, str(key))
    elif isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        yield name, " ".join(value)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, name)


def _unescaped(text: str, quote: str) -> str:
    """The inside of a string as JSON (") or Python (') writes it; as it is where it cannot be read."""
    try:
        return str(json.loads(f'"{text}"', strict=False) if quote == '"' else ast.literal_eval(f"'''{text}'''"))
    except (ValueError, SyntaxError):
        return text.replace(f"\\{quote}", quote)


def _worded(line: str) -> bool:
    return any(map(str.isalnum, line))


def _is_heading(line: str) -> bool:
    return line.endswith(":") or (line[-1] not in ".!?" and len(line.split()) <= HEADING_WORDS)


def _unwrapped(line: str, lead: str) -> str:
    """A line without labels (`Sure! Here is the profile:`), pictographs, quotes and brackets around it."""
    return _limit_of(partial(_unwrapped_once, lead), line)


def _limit_of(change: Callable[[str], str], text: str) -> str:
    """What a change makes of a text until it makes nothing new of it, DEEPEST times at most."""
    for _ in range(DEEPEST):
        before, text = text, change(text)
        if text == before:
            break
    return text


def _unwrapped_once(lead: str, line: str) -> str:
    line = line.strip()
    if not (lead and _whole(lead).match(line)) and (label := _LABEL.match(_LIST_MARK.sub("", line))):
        line = label.string[label.end() :]
    while line and (unicodedata.category(line[0]) in ("So", "Sk", "Cf", "Mn") or line[0] in ">→➜"):
        line = line[1:].lstrip()
    line = _REMARK.sub(r"\1", line) if _REMARK.fullmatch(line) else line
    return unbracketed(unquoted(line))


@lru_cache(4096)
def _whole(words: str, before: str = "") -> re.Pattern[str]:
    """These words in whatever case, an apostrophe of any kind, behind the mark of a list item and a quote."""
    text = re.sub("['’ʼ′]", "['’ʼ′]", r"\s+".join(map(re.escape, words.split())))
    return re.compile(rf"{before or f'(?:{_MARK})?'}[{QUOTE}]?\s*{text}(?![\w-])", re.IGNORECASE)


def _begins(line: str, lead: str) -> int:
    """Characters of a line's beginning that repeat the lead, 0 where none do.

    Also behind a clause ("Based on that, it suits people who"), or the most of it behind other words ("This film suits
    people who"); a clause begins with a capital letter, which what goes on from the lead does not.
    """
    words = lead.split()
    if not words:
        return 0
    if match := _whole(lead).match(line):
        return match.end()
    for count in range(len(words), max(2, len(words) // 2), -1):
        if match := _whole(" ".join(words[-count:]), r"(?-i:[A-Z])[^.!?\n]{0,80}?(?:[\s:])").match(line):
            return match.end()
    match = _whole(lead, r"(?-i:[A-Z])[^.!?\n]{0,80}?(?:[,:;–—-]\s+)").match(line)
    return match.end() if match else 0


def _overlap(line: str, lead: str) -> int:
    """Characters of a line's beginning that repeat the last words of the lead."""
    words = lead.split()
    for count in range(len(words) - 1, 0, -1):
        if match := _whole(" ".join(words[-count:]), "(?:)").match(line):
            return match.end()
    return dots.end() if lead and (dots := re.match(r"(?:\.\.\.|…)\s*", line)) else 0
