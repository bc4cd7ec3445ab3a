"""A Ray worker's requests: for ray.llm's HTTP stage an aiohttp session, under the policy of `profiler=openai`.

That stage retries nothing by default, knows no Retry-After, ends a run at one answer that is no JSON, and sends one
request after the other (ray 2.60, `http_request_stage.py`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from pte.profiler.base import Completion
from pte.profiler.engine.openai import OpenAIEngine
from pte.schema import InputError

REST = 60.0  # seconds that a server is left alone which gave no answer


class Fleet:
    """The HTTP stage's session factory: a worker's requests at a time, bounded, spread over servers of one model."""

    def __init__(self, servers: Sequence[OpenAIEngine], clock: Callable[[], float] = time.monotonic) -> None:
        self.servers, self.count, self.clock = list(servers), 0, clock
        self.awake = [float("-inf")] * len(servers)  # from when on each is queried again
        self.room = asyncio.Semaphore(servers[0].server.parallel)

    def __call__(self) -> Session:
        return Session(self)

    async def completion(self, fields: Mapping[str, Any], clients: Sequence[Any], keys: Sequence[str]) -> Completion:
        """Of the server whose turn it is, or the next that answers; clients and keys: one for each server.

        One that gave no answer rests, and is asked before its time where all others do no better.
        """
        async with self.room:
            fault = InputError("there is no server")
            for place in self._turns():
                try:
                    return await self.servers[place].completion(clients[place], fields, keys[place])
                except InputError as error:
                    fault, self.awake[place] = error, self.clock() + REST
            raise fault

    def _turns(self) -> list[int]:
        """Servers in turn, those that rest last, of these the one that wakes first."""
        now, first, count = self.clock(), self.count, len(self.servers)
        self.count += 1
        turns = [(first + step) % count for step in range(count)]
        return sorted(turns, key=lambda place: max(self.awake[place], now))


class Session:
    """What the HTTP stage asks of an aiohttp.ClientSession: it posts a batch and awaits the answers one by one.

    A request is under way once posted (aiohttp's begins when it is awaited, one after the other); what comes back is a
    Completion, after retries, in place of the server's own JSON.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.tasks: list[asyncio.Task[Response]] = []

    async def __aenter__(self) -> Session:
        self.keys = [server.key() for server in self.fleet.servers]  # each is refused where it would go in the clear
        self.clients = [server.client(key) for server, key in zip(self.fleet.servers, self.keys, strict=True)]
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for client in self.clients:
            await client.aclose()

    def post(self, url: str, *, headers: Mapping[str, str], data: str) -> asyncio.Task[Response]:
        """The request of a body; address and headers are the fleet's own."""
        self.tasks.append(asyncio.ensure_future(self._answer(json.loads(data))))
        return self.tasks[-1]

    async def _answer(self, fields: Mapping[str, Any]) -> Response:
        return Response(asdict(await self.fleet.completion(fields, self.clients, self.keys)))


@dataclass(frozen=True)
class Response:
    """What the HTTP stage asks of an aiohttp.ClientResponse."""

    value: Mapping[str, Any]
    status: int = 200
    reason: str = "OK"

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def json(self) -> Mapping[str, Any]:
        return self.value
