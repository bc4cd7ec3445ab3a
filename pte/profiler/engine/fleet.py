"""A Ray worker's requests: for ray.llm's HTTP stage an aiohttp session, under the policy of `profiler=openai`.

That stage retries nothing by default, knows no Retry-After, ends a run at one answer that is no JSON, and sends one
request after the other (ray 2.60, `http_request_stage.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from pte.profiler.base import Completion
from pte.profiler.engine.openai import OpenAIEngine
from pte.schema import InputError


class Fleet:
    """The HTTP stage's session factory: a worker's requests at a time, bounded, spread over servers of one model."""

    def __init__(self, servers: Sequence[OpenAIEngine]) -> None:
        self.servers, self.count = list(servers), 0
        self.room = asyncio.Semaphore(servers[0].server.parallel)

    def __call__(self) -> Session:
        return Session(self)

    async def completion(self, fields: Mapping[str, Any], clients: Sequence[Any], keys: Sequence[str]) -> Completion:
        """Of the server whose turn it is, or the next that answers; clients and keys: one for each server."""
        async with self.room:
            first, fault = self.count, InputError("there is no server")
            self.count += 1
            for step in range(len(self.servers)):
                place = (first + step) % len(self.servers)
                try:
                    return await self.servers[place].completion(clients[place], fields, keys[place])
                except InputError as error:
                    fault = error
            raise fault


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
