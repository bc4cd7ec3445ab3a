"""Bodies and answers of the OpenAI chat protocol, for requests one by one and for batch files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pte.profiler.base import Completion, Query
from pte.profiler.prompt import Prompt
from pte.profiler.text.style import JSON_LEAD
from pte.schema import InputError, require

SCHEMA = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "contrast": {"type": "string"},
    },
    "required": ["summary", "tags", "contrast"],
    "additionalProperties": False,
}
FILTERED = re.compile(r"content_filter|content management policy|content_policy|safety system", re.IGNORECASE)
OTHER_MODEL = re.compile(  # of a 400 for which no prompt is at fault: "Server is pinned to 'a'; requested 'b'"
    r"model_not_found|is pinned to|(?:unknown|no such|invalid) model\b"
    r"|model\b.{0,120}(?:does not exist|not found|not available|not loaded)",
    re.IGNORECASE,
)
LONGEST_WORDS = 10_000  # of a server, masked as a whole and then cut: a key cut in two would not be known again
_REFUSED = re.compile(
    r"unsupported|not supported|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|instead|only the default",
    re.IGNORECASE,
)
OPTIONAL = ("max_tokens", "seed", "response_format", "top_p", "temperature")


@dataclass(frozen=True)
class Sampling:
    """How a served model draws; but for the temperatures, part of a generation's key."""

    temperatures: Sequence[float]
    top_p: float
    max_new_tokens: int

    def __post_init__(self) -> None:
        if not self.temperatures or min(self.temperatures) < 0:
            raise InputError(f"profiler.decoding.temperatures={list(self.temperatures)}: at least one, none below 0")
        require(0 < self.top_p <= 1, "profiler.decoding.top_p", self.top_p, "give a number above 0, 1 at most")
        require(self.max_new_tokens >= 1, "profiler.decoding.max_new_tokens", self.max_new_tokens, "give 1 or more")

    def holding(self, tokens: int) -> Sampling:
        """The same with room for answers of so many tokens."""
        return replace(self, max_new_tokens=max(self.max_new_tokens, tokens))

    def identity(self) -> dict[str, Any]:
        """The fields of a request."""
        return {"top_p": self.top_p, "max_tokens": self.max_new_tokens}


def message_text(prompt: Prompt) -> str:
    """The prompt as one message; how to begin is stated in words."""
    rule = "" if prompt.lead == JSON_LEAD else f"\n\nBegin your answer with: {prompt.lead}"
    return f"{prompt.stem()}{rule}"


def body(model: str, query: Query, key: str, decoding: Mapping[str, Any]) -> dict[str, Any]:
    """One request, all optional fields in it."""
    fields: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": message_text(query.prompt)}],
        "temperature": query.temperature,
        "seed": int(key[:7], 16),
        **decoding,
    }
    if query.prompt.lead == JSON_LEAD:
        schema = {"name": "profile", "strict": True, "schema": SCHEMA}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def reduced(fields: Mapping[str, Any], without: frozenset[str]) -> dict[str, Any]:
    """A request less the fields that the server has refused; `max_tokens` goes on as `max_completion_tokens`."""
    left = {name: value for name, value in fields.items() if name not in without}
    renamed = "max_tokens" in without and "max_tokens" in fields
    return {**left, "max_completion_tokens": fields["max_tokens"]} if renamed else left


def refused_field(answer: Any, request: Mapping[str, Any]) -> str | None:
    """The optional field of a request that a 400 or 422 complains of, by name or in words; None where it is another."""
    error = answer.get("error", answer) if isinstance(answer, dict) else {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    named = [str(error.get("param"))]
    detail = answer.get("detail") if isinstance(answer, dict) else None
    for entry in detail if isinstance(detail, list) else []:
        named += [str(part) for part in entry.get("loc", ())] if isinstance(entry, dict) else []
    words = str(error.get("message", ""))
    for field in OPTIONAL:
        refusal = re.search(rf"\b{field}\b", words) and _REFUSED.search(words)
        if field in request and (field in named or refusal):
            return field
    return None


@dataclass(frozen=True)
class Answer:
    """A completion, and what is known beside it."""

    completion: Completion
    model: str  # as the server names what answered; "" where it does not
    fingerprint: str


def read_answer(answer: Any) -> Answer | None:
    """The completion of a server's JSON; None where it is no chat answer. No choice or no text is a failure."""
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        return None
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    choice = answer["choices"][0] if answer["choices"] else {"message": {}, "finish_reason": "content_filter"}
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    text = _text(message.get("content"))
    finish = str(choice.get("finish_reason") or "")
    if finish == "content_filter":
        text = ""
    elif not text.strip() and finish != "length":
        finish = "refusal" if message.get("refusal") else "empty"  # empty: reasoning alone, or nothing
    tokens = int(usage.get("completion_tokens") or len(text.split()))
    done = Completion(text, tokens, finish, int(usage.get("prompt_tokens") or 0))
    return Answer(done, str(answer.get("model") or ""), str(answer.get("system_fingerprint") or ""))


def _text(content: Any) -> str:
    """A string, or the text parts alone of a list of parts; half a character, which no file holds, as ?."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(text for text in texts if isinstance(text, str))
    return content.encode(errors="replace").decode() if isinstance(content, str) else ""


def outcome(answer: httpx.Response) -> tuple[int, str, Any]:
    """Status, words and JSON; a 200 that holds an error counts as the status it names, else as 500."""
    if answer.status_code != 200:
        try:
            return answer.status_code, answer.text[:LONGEST_WORDS], answer.json()
        except ValueError:
            return answer.status_code, answer.text[:LONGEST_WORDS], None
    value = answer.json()
    if isinstance(value, dict) and value.get("error") and not value.get("choices"):
        code = value["error"].get("code") if isinstance(value["error"], dict) else None
        return (
            (code if isinstance(code, int) and 400 <= code < 600 else 500),
            str(value["error"])[:LONGEST_WORDS],
            value,
        )
    return 200, "", value


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that a server asks to wait, given as a number or a date."""
    value = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((date - date.now(date.tzinfo)).total_seconds(), 0.0)
