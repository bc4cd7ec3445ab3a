"""`profiler=openai`: the closed loop over any server that speaks the OpenAI chat protocol (vLLM, SGLang, a cloud).

Plain HTTP by the standard library, `parallel` requests at a time. The key comes from an environment variable alone and
is never written anywhere. Such a server cannot continue a begun answer, so the lead is asked for in words; it may not
know `seed`, so texts are kept stable by the log.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pte.profiler.base import Ask, Completion, Log, Rate, Say
from pte.profiler.loop import Loop, Stored, play, workload
from pte.profiler.prompt import JSON_LEAD, Evidence, Prompt
from pte.profiler.record import Recorded
from pte.schema import Generation, InputError, Profiles, View

LATER = {408, 409, 425, 429, 500, 502, 503, 504}  # worth another try
TRIES = 6
LOCAL = ("localhost", "127.0.0.1", "::1")


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is a failure: it would carry the key to another place."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


class OpenAIProfiler:
    """K candidates from a served model."""

    def __init__(
        self,
        *,
        model: str | None,
        base_url: str,
        key_variable: str,
        num_candidates: int,
        rounds: int,
        item_forms: Sequence[str],
        user_forms: Sequence[str],
        evidence: Evidence,
        temperatures: Sequence[float],
        top_p: float,
        max_new_tokens: int,
        parallel: int,
        timeout_seconds: float,
    ) -> None:
        if not model:
            raise InputError("profiler.model is missing: type profiler.model=NAME, the name the server knows it by")
        self.num_candidates = num_candidates
        self.loop = Loop(num_candidates, rounds, item_forms, user_forms, temperatures, evidence)
        self.engine = OpenAIEngine(
            model, base_url, key_variable, {"top_p": top_p, "max_tokens": max_new_tokens}, parallel, timeout_seconds
        )

    def profile(self, view: View, *, log: Log, say: Say) -> Profiles:
        """Play the loop; every generation goes to the log as its batch of requests returns."""
        answer = Recorded(self.engine, log, say, workload(self.loop, view), noun=self.engine.model)
        return play(self.loop, view, answer, say)

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """Play the loop on stored completions."""
        return self.loop.run(view, Stored(stored))


class OpenAIEngine:
    """One request a completion."""

    def __init__(
        self,
        model: str,
        base_url: str,
        key_variable: str,
        decoding: Mapping[str, Any],
        parallel: int,
        timeout_seconds: float,
    ) -> None:
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"profiler.base_url={base_url!r}: give the server's address, as http://localhost:8000/v1")
        if parallel < 1:
            raise InputError(f"profiler.parallel={parallel} must be at least 1")
        self.model, self.url = model, base_url.rstrip("/") + "/chat/completions"
        self.key_variable, self.decoding, self.parallel, self.timeout = (
            key_variable,
            decoding,
            parallel,
            timeout_seconds,
        )
        self._open = parts.scheme == "http" and parts.hostname not in LOCAL

    def identity(self) -> Mapping[str, Any]:
        return {"model": {"served": self.model}, "decoding": dict(self.decoding)}

    def batches(self, asks: Sequence[Ask]) -> list[list[int]]:
        """As many as run at a time, four times over: what a kill can lose."""
        size = 4 * self.parallel
        return [list(range(i, min(i + size, len(asks)))) for i in range(0, len(asks), size)]

    def rate(self, asks: Sequence[Ask]) -> Rate | None:
        """A server's speed shows only under load."""
        return None

    def complete(self, asks: Sequence[Ask], keys: Sequence[str]) -> list[Completion]:
        """All answers, in order; the first failure that stays ends the run."""
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(self._one, asks, keys))

    def _one(self, ask: Ask, key: str) -> Completion:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": told(ask.prompt)}],
            "temperature": ask.temperature,
            "seed": int(key[:7], 16),
            **self.decoding,
        }
        answer = self._post(json.dumps(body).encode())
        try:
            text = answer["choices"][0]["message"]["content"] or ""
        except (KeyError, IndexError, TypeError):
            raise InputError(f"{self.url} answered without choices[0].message.content: is it a chat server?") from None
        return Completion(text, int((answer.get("usage") or {}).get("completion_tokens") or len(text.split())))

    def _post(self, body: bytes) -> Any:
        """The server's JSON; what passes with time is tried again, a little later each time."""
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.key_variable):
            if self._open:
                raise InputError(f"{self.url} is plain http: ${self.key_variable} would travel in the open. Use https")
            headers["Authorization"] = f"Bearer {key}"
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(2.0**attempt / 4, 30.0))
            try:
                request = urllib.request.Request(self.url, body, headers)
                with _OPENER.open(request, timeout=self.timeout) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}: {error.read(300).decode(errors='replace')}"
                if error.code not in LATER:
                    break
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = str(error)
        hint = f" Set the environment variable {self.key_variable}." if "HTTP 401" in reason else ""
        raise InputError(f"{self.url} does not answer ({reason}).{hint} Start the server, or type profiler=template")


def told(prompt: Prompt) -> str:
    """The prompt as one message; how to begin is said in words."""
    rule = "" if prompt.lead == JSON_LEAD else f"\n\nBegin your answer with: {prompt.lead}"
    return f"{prompt.instruction}\n\n{prompt.data}{rule}"
