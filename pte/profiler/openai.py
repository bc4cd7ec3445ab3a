"""`profiler=openai`: the closed loop over any server that speaks the OpenAI chat protocol (vLLM, SGLang, a cloud).

At most `parallel` requests at a time over reused connections, each result handed on as it arrives. The key comes from
an environment variable alone and is never written anywhere. Such a server cannot continue a begun answer, so the lead
is asked for in words; fields a server refuses are left out from then on, so texts are kept stable by the log.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from pte.profiler.base import Ask, Completion, Log, Rate, Request, Result
from pte.profiler.engine.chat import FILTERED, body, outcome, read_answer, refused_field, retry_after
from pte.profiler.engine.record import Recorded
from pte.profiler.engine.secret import LOCAL, check_url, check_variable, mask, read_key
from pte.profiler.loop import Loop, Stored, play, workload
from pte.profiler.prompt import Evidence
from pte.schema import Generation, InputError, Profiles, View

LATER = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # worth another try
TRIES = 6
LONGEST_WAIT = 600.0  # seconds; a server that asks for more has no place in a run
FEW = 20  # results before a share of failures means anything

logging.getLogger("httpx").setLevel(logging.WARNING)  # else one line a request


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
        budget_tokens: int | None = None,
        failure_share: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not model:
            raise InputError("profiler.model is missing: type profiler.model=NAME, the name the server knows it by")
        self.num_candidates = num_candidates
        self.loop = Loop(num_candidates, rounds, item_forms, user_forms, temperatures, evidence)
        self.engine = OpenAIEngine(
            model, base_url, key_variable, {"top_p": top_p, "max_tokens": max_new_tokens}, parallel, timeout_seconds
        )
        self.engine.budget_tokens, self.engine.failure_share = budget_tokens, failure_share
        self.engine.seed = seed

    def profile(self, view: View, *, log: Log) -> Profiles:
        """Play the loop; every generation goes to the log as it arrives."""
        answer = Recorded(self.engine, log, workload(self.loop, view), noun=self.engine.model)
        answer.generator = self.engine
        return play(self.loop, view, answer)

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
        parts = check_url(base_url)
        check_variable(key_variable)
        if parallel < 1:
            raise InputError(f"profiler.parallel={parallel} must be at least 1")
        self.model, self.url, self.host = model, base_url.rstrip("/") + "/chat/completions", parts.netloc
        self.key_variable, self.decoding, self.parallel = key_variable, decoding, parallel
        self.timeout = timeout_seconds
        self.budget_tokens: int | None = None  # prompt and new tokens of this run
        self.seed = 0  # of all draws
        self.failure_share = 0.1  # of the results; more ends the run
        self.tokens, self.without = 0, frozenset[str]()  # tokens used; fields the server refuses
        self._local = parts.hostname in LOCAL
        self._open = parts.scheme == "http" and not self._local

    def identity(self) -> Mapping[str, Any]:
        return {"model": {"served": self.model, "host": self.host}, "decoding": dict(self.decoding), "seed": self.seed}

    def batches(self, asks: Sequence[Ask]) -> list[list[int]]:
        """All at once: `generate` bounds what runs at a time."""
        return [list(range(len(asks)))]

    def rate(self, asks: Sequence[Ask]) -> Rate | None:
        """A server's speed shows only under load."""
        return None

    def complete(self, asks: Sequence[Ask], keys: Sequence[str]) -> list[Completion]:
        """All answers, in order."""
        found = {r.key: r.completion for r in self.generate([Request(k, a) for k, a in zip(keys, asks, strict=True)])}
        return [found[key] for key in keys]

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        """Every result as it arrives; InputError once the server cannot help, too many fail or the budget is spent."""
        key = read_key(self.key_variable)
        if key and self._open:
            raise InputError(f"{self.url} is plain http: ${self.key_variable} would travel in the open. Use https")
        waiting, running, done, failures = iter(requests), set[asyncio.Task[Result]](), 0, 0
        with asyncio.Runner() as runner:
            client = self._client(key)
            try:
                while True:
                    while len(running) < self.parallel and not self._spent() and (request := next(waiting, None)):
                        running.add(runner.get_loop().create_task(self._one(client, request, key)))
                    if not running:
                        break
                    finished, running = runner.run(_first_of(running))
                    results, fault = _sort(finished)
                    for result in results:
                        self.tokens += result.completion.tokens + result.completion.prompt_tokens
                        done, failures = done + 1, failures + (result.completion.finish == "error")
                        yield result
                    if fault:
                        raise fault
                    if done >= FEW and failures > self.failure_share * done:
                        raise InputError(self._too_many(failures, done, results))
                if done < len(requests):
                    raise InputError(
                        f"profiler.budget_tokens={self.budget_tokens:,} is spent ({self.tokens:,} tokens):"
                        f" {done:,} of {len(requests):,} answers are recorded and are not paid for again;"
                        " type a larger budget to go on"
                    )
            finally:
                for task in running:
                    task.cancel()
                runner.run(client.aclose())

    def _client(self, key: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=self.parallel, max_keepalive_connections=self.parallel)
        return httpx.AsyncClient(headers=headers, timeout=self.timeout, limits=limits, trust_env=not self._local)

    def _spent(self) -> bool:
        return self.budget_tokens is not None and self.tokens >= self.budget_tokens

    def _too_many(self, failures: int, done: int, results: Sequence[Result]) -> str:
        detail = next((r.completion.detail for r in results if r.completion.finish == "error"), "see the log")
        return (
            f"{failures:,} of {done:,} requests to {self.url} failed, more than profiler.failure_share="
            f"{self.failure_share}; the last: {detail}"
        )

    async def _one(self, client: httpx.AsyncClient, request: Request, key: str) -> Result:
        """One answer; what passes with time is tried again, a little later each time."""
        reason, attempt = "", 0
        while attempt < TRIES:
            sent = body(self.model, request.ask, request.key, self.decoding, self.without)
            wait = min(2.0**attempt / 2, 30.0) * random.uniform(0.5, 1.0)
            attempt += 1
            try:
                answer = await client.post(self.url, json=sent)
                code, words, value = outcome(answer)
            except (httpx.TransportError, ValueError) as error:
                code, words, value, answer = 503, f"{type(error).__name__}: {error}", None, None
            if code == 200:
                found = read_answer(value)
                if found is None:
                    raise InputError(f"{self.url} answered without choices[0].message: is it a chat server?")
                return Result(request.key, found.completion)
            reason = mask(f"HTTP {code}: {words}" if answer is not None else words, key)[:300]
            if code in (400, 422) and (field := refused_field(value, sent)):
                self.without |= {field}
                attempt -= 1
                continue
            if code not in LATER:
                return self._failure(request, code, words, reason)
            if answer is not None and (asked := retry_after(answer)) is not None:
                if asked > LONGEST_WAIT:
                    break
                wait = asked + random.uniform(0.0, 0.1) * asked
            if attempt < TRIES:
                await asyncio.sleep(wait)
        raise InputError(
            f"{self.url} gave no answer in {attempt} tries ({reason}). What was answered is recorded;"
            " start the server or wait, then type the same command again"
        )

    def _failure(self, request: Request, code: int, words: str, reason: str) -> Result:
        """A failure of this prompt alone; InputError where no prompt can succeed."""
        if code in (400, 413, 422):
            finish = "content_filter" if FILTERED.search(words) else "error"
            return Result(request.key, Completion("", 0, finish, 0, reason))
        hint = {
            401: f"The key was not accepted: set the environment variable {self.key_variable}",
            402: "The account has no credit left",
            403: f"The key in ${self.key_variable} may not use profiler.model={self.model}",
            404: f"Check profiler.base_url, and that the server knows profiler.model={self.model}",
        }.get(code, "The server redirects: type the final address" if code < 400 else "The server refuses requests")
        raise InputError(f"{self.url} answered {reason}. {hint}")


async def _first_of(tasks: set[asyncio.Task[Result]]) -> tuple[set[asyncio.Task[Result]], set[asyncio.Task[Result]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _sort(finished: set[asyncio.Task[Result]]) -> tuple[list[Result], BaseException | None]:
    """Results of finished tasks, and the first fault among them: good answers beside a fault are not lost."""
    faults = [fault for task in finished if (fault := task.exception())]
    return [task.result() for task in finished if not task.exception()], (faults[0] if faults else None)
