"""Bodies and answers of the OpenAI chat protocol, for requests one by one and for batch files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pte.profiler.base import CUT, FAILED, FINISHES, Completion, Query
from pte.profiler.prompt import Prompt
from pte.profiler.text.style import JSON_LEAD
from pte.schema import require

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
FINISH = {  # what servers call it, in lower case, by what it means here; of all but the first two the text is not used
    "stop": "stop stop_sequence stop_token end_turn eos eos_token complete completed",
    CUT: "length max_tokens max_length max_output_tokens model_length model_context_window_exceeded incomplete",
    "content_filter": "content_filter content_filtered safety recitation blocklist prohibited_content spii"
    " image_safety guardrail_intervened sensitive",
    "refusal": "refusal",
    "tool_calls": "tool_calls tool_call tool_use function_call malformed_function_call unexpected_tool_call",
    FAILED: "error abort aborted cancelled canceled timeout network_error insufficient_system_resource",
}
MEANING = {word: meaning for meaning, words in FINISH.items() for word in words.split()}
OPTIONAL = ("max_tokens", "seed", "response_format", "top_p", "temperature")
MOST_TOKENS = 1_000_000  # of an answer
HOTTEST = 10  # where a model's words are drawn almost evenly


def check_draws(temperatures: Sequence[float], top_p: float, max_new_tokens: int) -> None:
    """InputError for numbers by which nothing readable, or nothing at all, would be drawn."""
    fine = bool(temperatures) and all(0 <= each <= HOTTEST for each in temperatures)
    require(fine, "profiler.decoding.temperatures", list(temperatures), f"give one at least, each from 0 to {HOTTEST}")
    require(0 < top_p <= 1, "profiler.decoding.top_p", top_p, "give a number above 0, 1 at most")
    within = 1 <= max_new_tokens <= MOST_TOKENS
    require(within, "profiler.decoding.max_new_tokens", max_new_tokens, f"give 1 to {MOST_TOKENS}")


@dataclass(frozen=True)
class Sampling:
    """How a served model draws; but for the temperatures, part of a generation's key."""

    temperatures: Sequence[float]
    top_p: float
    max_new_tokens: int

    def __post_init__(self) -> None:
        check_draws(self.temperatures, self.top_p, self.max_new_tokens)

    def holding(self, tokens: int) -> Sampling:
        """The same with room for answers of so many tokens."""
        return replace(self, max_new_tokens=max(self.max_new_tokens, tokens))

    def identity(self) -> dict[str, Any]:
        """The fields of a request."""
        return {"top_p": self.top_p, "max_tokens": self.max_new_tokens}


def message_text(prompt: Prompt) -> str:
    """The prompt as one message; how to begin is stated in words."""
    rule = "" if prompt.lead == JSON_LEAD else f"\n\nBegin your answer with: {prompt.lead}"
    return f"{prompt.prefix()}{rule}"


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


def finish_reason(reason: Any) -> str:
    """A server's finish reason by its meaning here; one that is not known as it is, "" where none is given."""
    reason = reason.get("type") if isinstance(reason, dict) else reason  # SGLang's own
    word = str(reason or "").rpartition(".")[2].strip().lower()[:40]
    return MEANING.get(word, word)


def read_answer(answer: Any, limit: int) -> Answer | None:
    """The completion of a server's JSON; None where it is no chat answer. No choice or no text is a failure.

    limit: the tokens asked for at most. An answer of as many is cut, where its finish reason does not tell.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        return None
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    choice = answer["choices"][0] if answer["choices"] else {"message": {}, "finish_reason": "content_filter"}
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    text = _text(message.get("content"))
    finish, tokens = finish_reason(choice.get("finish_reason")), int(usage.get("completion_tokens") or 0)
    detail = f"finish_reason={choice.get('finish_reason')}" if finish == FAILED else ""
    if finish not in FINISHES and tokens >= limit:
        finish = CUT
    if finish in FINISHES and finish not in ("stop", CUT):
        text = ""
    elif not text.strip() and finish != CUT:
        finish = "refusal" if message.get("refusal") else "empty"  # empty: reasoning alone, or nothing
    done = Completion(text, tokens or len(text.split()), finish, int(usage.get("prompt_tokens") or 0), detail)
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
