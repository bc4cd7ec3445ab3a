"""Any server that speaks the OpenAI chat protocol (vLLM, SGLang, a cloud), asked one request a completion.

At most `parallel` requests at a time over reused connections, each result handed on as it arrives. The key comes from
an environment variable alone and is never written anywhere. Such a server cannot continue a begun answer, so the lead
is asked for in words; fields a server refuses are left out from then on, so texts are kept stable by the log.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from pte.profiler.base import FAILED, Completion, Request, Result
from pte.profiler.engine.arrival import Arrivals, check_failure_share, tolerated, too_many
from pte.profiler.engine.chat import (
    FILTERED,
    OTHER_MODEL,
    Sampling,
    body,
    outcome,
    read_answer,
    reduced,
    refused_field,
    retry_after,
)
from pte.profiler.engine.secret import LOCAL, check_url, check_variable, mask, read_key
from pte.schema import InputError, require

LATER = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # worth another try
TRIES = 6
LONGEST_WAIT = 600.0  # seconds; a server that asks for more has no place in a run

logger = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # else one line a request


@dataclass(frozen=True)
class Server:
    """How requests are sent to a server; none of it decides an answer."""

    key_variable: str = "OPENAI_API_KEY"  # the environment variable that holds the key
    parallel: int = 16  # requests at a time
    timeout_seconds: float = 120.0
    budget_tokens: int | None = None  # prompt and new tokens of a run
    budget_money: float | None = None  # of a run, at profiler.tariff.price
    failure_share: float = 0.1  # of the results; more ends the run

    def __post_init__(self) -> None:
        check_variable(self.key_variable)
        require(1 <= self.parallel <= 10_000, "profiler.server.parallel", self.parallel, "give 1 to 10000")
        for name in ("timeout_seconds", "budget_tokens", "budget_money"):
            value = getattr(self, name)
            require(value is None or value > 0, f"profiler.server.{name}", value, "must be above 0")
        check_failure_share(self.failure_share, "profiler.server.failure_share")


class OpenAIEngine(Arrivals):
    """One request a completion."""

    def __init__(
        self,
        model: str,
        base_url: str,
        decoding: Sampling,
        server: Server,
        *,
        seed: int = 0,
        fingerprint: str | None = None,
        price: Sequence[float] | None = None,
    ) -> None:
        """fingerprint: the system_fingerprint that answers must carry; price: of a million prompt and new tokens."""
        if server.budget_money is not None and price is None:
            raise InputError("profiler.server.budget_money needs a price: type profiler.tariff.price=[IN,OUT]")
        parts = check_url(base_url)
        self.model, self.url, self.host = model, base_url.rstrip("/") + "/chat/completions", parts.netloc
        self.decoding, self.server = decoding.identity(), server
        self.seed = seed  # of all draws
        self.fingerprint, self.price = fingerprint, price
        self.usage = {"prompt": 0, "new": 0}  # tokens
        self.without = frozenset[str]()  # fields the server refuses
        self.origins: set[tuple[str, str]] = set()  # model and system_fingerprint of what answered
        self._local = parts.hostname in LOCAL
        self._open = parts.scheme == "http" and not self._local

    def identity(self) -> Mapping[str, Any]:
        pin = {"fingerprint": self.fingerprint} if self.fingerprint else {}
        return {"model": {"served": self.model, "host": self.host, **pin}, "decoding": self.decoding, "seed": self.seed}

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        """Every result as it arrives; InputError once the server cannot help, too many fail or the budget is spent."""
        key = self.key()
        waiting, running, done, failures = iter(requests), set[asyncio.Task[Result]](), 0, 0
        share = tolerated(requests, self.server.failure_share)
        with asyncio.Runner() as runner:
            client = self.client(key)
            try:
                while True:
                    while (
                        len(running) < self.server.parallel
                        and not self._exhausted()
                        and (request := next(waiting, None))
                    ):
                        running.add(runner.get_loop().create_task(self._one(client, request, key)))
                    if not running:
                        break
                    finished, running = runner.run(_first_of(running))
                    results, fault = _sort(finished)
                    for result in results:
                        self.usage["prompt"] += result.completion.prompt_tokens
                        self.usage["new"] += result.completion.tokens
                        done, failures = done + 1, failures + (result.completion.finish == FAILED)
                        yield result
                    if fault:
                        raise fault
                    if too_many(failures, done, share):
                        raise InputError(self._too_many(failures, done, results))
                if done < len(requests):
                    raise InputError(
                        f"{self._exhausted()}: {done:,} of {len(requests):,} answers are recorded and are not paid for"
                        " again; type a larger budget to go on"
                    )
            finally:
                for task in running:
                    task.cancel()
                runner.run(client.aclose())

    def key(self) -> str:
        """The key of the environment, "" where there is none; InputError where it would travel in the open."""
        key = read_key(self.server.key_variable)
        if key and self._open:
            raise InputError(
                f"{self.url} is plain http: ${self.server.key_variable} would travel in the open. Use https"
            )
        return key

    def client(self, key: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=self.server.parallel, max_keepalive_connections=self.server.parallel)
        return httpx.AsyncClient(
            headers=headers, timeout=self.server.timeout_seconds, limits=limits, trust_env=not self._local
        )

    def _exhausted(self) -> str:
        """Which budget is spent, in words; "" where none is."""
        tokens, limit = sum(self.usage.values()), self.server
        if limit.budget_tokens is not None and tokens >= limit.budget_tokens:
            return f"profiler.server.budget_tokens={limit.budget_tokens:,} is spent ({tokens:,} tokens)"
        if limit.budget_money is None or self.price is None:
            return ""
        money = (self.usage["prompt"] * self.price[0] + self.usage["new"] * self.price[1]) / 1e6
        over = money >= limit.budget_money
        return f"profiler.server.budget_money={limit.budget_money:g} is spent ({money:.4g})" if over else ""

    def _origin(self, model: str, fingerprint: str) -> None:
        """Log once which model answers; InputError where it is not the one of the key."""
        if self.fingerprint and fingerprint != self.fingerprint:
            raise InputError(
                f"{self.url} answers with system_fingerprint={fingerprint or 'null'}, not profiler.fingerprint="
                f"{self.fingerprint}: type the new one (or null), and its texts are kept apart"
            )
        if (model, fingerprint) not in self.origins and (fingerprint or model not in ("", self.model)):
            logger.info(f"{self.model}: answered by {_named(model=model, system_fingerprint=fingerprint)}")
        self.origins.add((model, fingerprint))

    def _too_many(self, failures: int, done: int, results: Sequence[Result]) -> str:
        detail = next((r.completion.detail for r in results if r.completion.finish == FAILED), "see the log")
        return (
            f"{failures:,} of {done:,} requests to {self.url} failed, more than profiler.server.failure_share="
            f"{self.server.failure_share}; the last: {detail}. They are recorded: once it is repaired, type"
            " profiler.failed_retries=1 (or one more than before) to ask for them again"
        )

    async def _one(self, client: httpx.AsyncClient, request: Request, key: str) -> Result:
        fields = body(self.model, request.query, request.key, self.decoding)
        return Result(request.key, await self.completion(client, fields, key))

    async def completion(self, client: httpx.AsyncClient, request: Mapping[str, Any], key: str) -> Completion:
        """The answer to a request's body; what passes with time is tried again, a little later each time."""
        reason, attempt = "", 0
        while attempt < TRIES:
            fields = reduced(request, self.without)
            wait = min(2.0**attempt / 2, 30.0) * random.uniform(0.5, 1.0)
            attempt += 1
            try:
                answer = await client.post(self.url, json=fields)
                code, words, value = outcome(answer)
            except (httpx.TransportError, ValueError) as error:
                code, words, value, answer = 503, f"{type(error).__name__}: {error}", None, None
            if code == 200:
                parsed = read_answer(value, self.decoding["max_tokens"])
                if parsed is None:
                    raise InputError(f"{self.url} answered without choices[0].message: is it a chat server?")
                self._origin(parsed.model, parsed.fingerprint)
                return parsed.completion
            reason = mask(f"HTTP {code}: {words}" if answer is not None else words, key)[:300]
            if code in (400, 422) and (field := refused_field(value, fields)):
                self.without |= {field}
                attempt -= 1
                continue
            if code not in LATER:
                return self._failure(code, words, reason)
            if answer is not None and (delay := retry_after(answer)) is not None:
                if delay > LONGEST_WAIT:
                    break
                wait = delay + random.uniform(0.0, 0.1) * delay
            if attempt < TRIES:
                await asyncio.sleep(wait)
        raise InputError(
            f"{self.url} gave no answer in {attempt} tries ({reason}). What was answered is recorded;"
            " start the server or wait, then type the same command again"
        )

    def _failure(self, code: int, words: str, reason: str) -> Completion:
        """A failure of this prompt alone; InputError where no prompt can succeed."""
        code = 404 if code == 400 and OTHER_MODEL.search(words) else code
        if code in (400, 413, 422):
            finish = "content_filter" if FILTERED.search(words) else FAILED
            return Completion("", 0, finish, 0, reason)
        hint = {
            401: f"The key was not accepted: set the environment variable {self.server.key_variable}",
            402: "The account has no credit left",
            403: f"The key in ${self.server.key_variable} may not use profiler.model={self.model}",
            404: f"Check profiler.base_url, and that the server knows profiler.model={self.model}",
        }.get(code, "The server redirects: type the final address" if code < 400 else "The server refuses requests")
        raise InputError(f"{self.url} answered {reason}. {hint}")


def _named(**values: str) -> str:
    """Those that have a value, as name=value."""
    return ", ".join(f"{name}={value}" for name, value in values.items() if value)


async def _first_of(tasks: set[asyncio.Task[Result]]) -> tuple[set[asyncio.Task[Result]], set[asyncio.Task[Result]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _sort(finished: set[asyncio.Task[Result]]) -> tuple[list[Result], BaseException | None]:
    """Results of finished tasks, and the first fault among them: good answers beside a fault are not lost."""
    faults = [fault for task in finished if (fault := task.exception())]
    return [task.result() for task in finished if not task.exception()], (faults[0] if faults else None)
