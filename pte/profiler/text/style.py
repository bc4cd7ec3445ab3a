"""The wording of all prompts, read from files that a person can copy and edit.

A style is a folder with item.toml and user.toml (pte/profiler/templates/brief says what each key means). What the files
say is part of every key that depends on it: of generations through the prompts, of profiles through `identity`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pte.paths import expanded
from pte.schema import InputError

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
STYLES = ("brief", "rich")
JSON_LEAD = '{"summary": "'  # an answer that begins so is read as JSON
HISTORY = "Chosen by this person, latest first:"  # the same in every style: audits read the lines below it
LABELS = {"item": ("title", "choosers", "companions"), "user": ("alike", "also")}


@dataclass(frozen=True)
class Form:
    """One way to ask: how the answer begins, and whether behaviour of others is shown beside the entity's own facts."""

    lead: str
    others: bool = True
    rule: str = ""  # appended to the instruction
    ask: str = ""  # appended to the evidence


@dataclass(frozen=True)
class Answer:
    """What of an answer is kept, and what is a fault."""

    sentences: int = 3
    characters: int = 400
    words: tuple[int, int] = (2, 90)  # beyond the lead
    tokens: int = 1  # least limit of new tokens under which an answer fits
    common: frozenset[str] = frozenset()  # words that a text in the right language cannot do without


@dataclass(frozen=True)
class Wording:
    """The prompt templates of one side."""

    instruction: str
    label: Mapping[str, str]
    answer: Answer
    form: Mapping[str, Form]

    def forms_named(self, side: str, names: list[str]) -> list[str]:
        """The names, once all of them are known to be forms of this side."""
        for name in names:
            if name not in self.form:
                raise InputError(f"profiler.{side}_forms: there is no form {name!r}. Forms: {', '.join(self.form)}")
        if not names:
            raise InputError(f"profiler.{side}_forms is empty: name at least one of {', '.join(self.form)}")
        return names


@dataclass(frozen=True)
class Style:
    """The wording of both sides."""

    item: Wording
    user: Wording

    def of(self, side: str) -> Wording:
        return {"item": self.item, "user": self.user}[side]

    @cached_property
    def tokens(self) -> int:
        """New tokens that answers of either side need."""
        return max(self.item.answer.tokens, self.user.answer.tokens)

    def identity(self) -> dict[str, Any]:
        """Everything that the files say, in a form that can be hashed."""
        return {
            side: {
                **asdict(self.of(side)),
                "answer": {**asdict(self.of(side).answer), "common": sorted(self.of(side).answer.common)},
            }
            for side in ("item", "user")
        }


def load_style(style: str, templates: str | None = None) -> Style:
    """A style by name; with `templates` the files of that folder stand in for those of the style."""
    if style not in STYLES:
        raise InputError(f"profiler.style={style}: take one of {', '.join(STYLES)}, or profiler.templates=FOLDER")
    own = expanded(templates, "profiler.templates") if templates else None
    if own is not None and not any((own / f"{side}.toml").is_file() for side in LABELS):
        raise InputError(
            f"profiler.templates={templates}: there is no item.toml or user.toml in it; copy {TEMPLATES / style} there"
        )
    wordings = {}
    for side in LABELS:
        file = own / f"{side}.toml" if own else TEMPLATES / style / f"{side}.toml"
        wordings[side] = _wording(side, file if file.is_file() else TEMPLATES / style / f"{side}.toml")
    return Style(**wordings)


def _wording(side: str, file: Path) -> Wording:
    """One file, every key of it known and of the right kind."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: cannot be read as TOML: {error}") from None
    _keys(file, "", table, {"instruction": str, "label": dict, "answer": dict, "form": dict}, needed=True)
    _keys(file, "label.", table["label"], dict.fromkeys(LABELS[side], str), needed=True)
    kinds = {"sentences": int, "characters": int, "words": list, "tokens": int, "common": str}
    _keys(file, "answer.", table["answer"], kinds, needed=True)
    forms = {}
    for name, form in table["form"].items():
        if not isinstance(form, dict) or not form.get("lead"):
            raise InputError(f"{file}: form.{name} needs a lead, the words its answers begin with")
        _keys(file, f"form.{name}.", form, {"lead": str, "others": bool, "rule": str, "ask": str}, needed=False)
        if form["lead"] != form["lead"].strip() or "\n" in form["lead"]:
            raise InputError(f"{file}: form.{name}.lead must be one line without blanks around it")
        forms[name] = Form(**form)
    answer = table["answer"]
    if not forms or not table["instruction"].strip() or "\n\n" in table["instruction"]:
        raise InputError(f"{file}: give an instruction without an empty line in it, and a form at least")
    if not (len(answer["words"]) == 2 and all(type(n) is int for n in answer["words"]) and answer["sentences"] > 0):
        raise InputError(f"{file}: answer.words is [least, most], two whole numbers, and answer.sentences 1 at least")
    least, most = answer["words"]
    common = frozenset(answer["common"].lower().split())
    read = Answer(answer["sentences"], answer["characters"], (least, most), answer["tokens"], common)
    return Wording(table["instruction"].strip(), table["label"], read, forms)


def _keys(file: Path, where: str, table: Mapping[str, Any], kinds: Mapping[str, type], *, needed: bool) -> None:
    for name, value in table.items():
        if name not in kinds:
            raise InputError(f"{file}: there is no key {where}{name}; known are {', '.join(kinds)}")
        if type(value) is not kinds[name]:
            raise InputError(f"{file}: {where}{name} must be of kind {kinds[name].__name__}, not {value!r}")
    if needed and (missing := [name for name in kinds if name not in table]):
        raise InputError(f"{file}: {where}{missing[0]} is missing")


BRIEF = load_style("brief")
