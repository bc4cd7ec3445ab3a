"""What a profiler is, and what a closed loop asks of whatever answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pte.profiler.prompt import Prompt
from pte.schema import Generation, Profiles, ProfileWriter, View, require

logger = logging.getLogger(__name__)

MOST_CANDIDATES = 1000  # of an entity: more would fill the memory, and no selector distinguishes them
CUT = "length"  # the finish reason of an answer that reached its limit of tokens
FAILED = "error"  # that of a request which its server could not answer, others could be
FINISHES = ("stop", CUT, "content_filter", "refusal", "empty", "tool_calls", FAILED)  # finish reasons that are known


class Records(Protocol):
    """Generations of one model by key, kept as they arrive (pte/profiler/store/log.py)."""

    def find(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The rows of those keys that are known."""
        ...

    def extend(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows, each with its `key`; within `exclusive`."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """One writer at a time; waits for another process."""
        ...


class Log(Protocol):
    """Generations of all models."""

    def of(self, identity: Mapping[str, Any]) -> Records:
        """Those of the model and decoding that an `Engine.identity` names."""
        ...


def check_candidates(count: int) -> None:
    """InputError for a number of candidates that cannot be."""
    require(1 <= count <= MOST_CANDIDATES, "profiler.num_candidates", count, f"give 1 to {MOST_CANDIDATES}")


class Profiler(Protocol):
    """Visible interactions -> K candidate texts of every user and item."""

    num_candidates: int  # K

    def profile(self, view: View, *, log: Log, out: Path | None = None) -> Profiles:
        """K texts of every user and item from `view` alone, which holds no validation or test row.

        log: where single generations are recorded and found again; out: a folder for the texts' files, None: lists in
        memory. InputError where no text can be had.
        """
        ...

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """The same from stored completions and without a model: for the audit, which compares both to the letter."""
        ...


class DeterministicProfiler:
    """A profiler without a language model: its texts follow from the view, so there is nothing to log."""

    num_candidates: int

    def profile(self, view: View, *, log: Log, out: Path | None = None) -> Profiles:
        """All texts, and lines on them."""
        profiles = self._write(view, ProfileWriter(out, self.num_candidates))
        for line in self._account(profiles):
            logger.info(line)
        return profiles

    def rebuild(self, view: View, stored: Sequence[Generation]) -> Profiles:
        """The same again."""
        return self._write(view, ProfileWriter(None, self.num_candidates))

    def _write(self, view: View, writer: ProfileWriter) -> Profiles:
        raise NotImplementedError

    def _account(self, profiles: Profiles) -> Sequence[str]:
        """Lines on what was written."""
        raise NotImplementedError


@dataclass(frozen=True)
class Query:
    """One completion that is wanted."""

    prompt: Prompt
    candidate: int  # which of several draws from this prompt
    temperature: float
    place: tuple[str, int, int] | None = field(default=None, compare=False)  # side, entity, round: for the log alone


@dataclass(frozen=True)
class Completion:
    """What came back, and how many tokens it took."""

    text: str
    tokens: int  # new ones
    finish: str = ""  # one of FINISHES; another word of a server, or "" where it gives none: as if stop
    prompt_tokens: int = 0
    detail: str = ""  # a failure's words


Answer = Callable[[Sequence[Query]], list[Completion]]  # a language model behind its log, or stored completions


@dataclass(frozen=True)
class Request:
    """A completion that is missing; `key` is the content key it is logged under."""

    key: str
    query: Query
    attempt: int = 0  # above 0: it failed so often before
    of: int = 0  # answers that were wanted with it at first, where attempt is above 0


@dataclass(frozen=True)
class Result:
    """What became of a request."""

    key: str
    completion: Completion


@dataclass(frozen=True)
class Rate:
    """What a distinct prompt and a completion cost here."""

    prompt_tokens: float
    new_tokens: float  # at most
    prompt_seconds: float
    completion_seconds: float


class Generator(Protocol):
    """Yields every result as it arrives, in any order."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        """One result for each request; InputError once the service cannot help, after what it answered so far."""
        ...


class Engine(Protocol):
    """A language model: its identity in keys, and how it completes prompts."""

    def identity(self) -> Mapping[str, Any]:
        """Model, revision and decoding, of which keys are made; not prompt, candidate or temperature. Loads nothing."""
        ...

    def batches(self, queries: Sequence[Query]) -> list[list[int]]:
        """Places in `queries` to complete together, each place once."""
        ...

    def complete(self, queries: Sequence[Query], keys: Sequence[str]) -> list[Completion]:
        """One completion for each, in order; the content keys seed the draws."""
        ...

    def rate(self, queries: Sequence[Query]) -> Rate | None:
        """The speed measured on these prompts; None where it cannot be measured beforehand."""
        ...


Watch = Callable[[int, float], None]  # new tokens of a batch so far, and the share of the batch that is done


@runtime_checkable
class Watched(Protocol):
    """An engine that reports, within `complete`, how far it is."""

    watch: Watch
