"""What engines have in common whose answers arrive one by one: a server, files of a batch service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pte.profiler.base import Completion, Query, Rate, Request, Result
from pte.schema import require

FEW = 20  # results before a share of failures means anything


def check_failure_share(share: float, knob: str) -> None:
    """InputError where `share` is none."""
    require(0 <= share <= 1, knob, share, "give a share, 0 to 1")


def too_many(failures: int, results: int, share: float) -> bool:
    """Whether more than `share` of the results are failures; of a few results no share is tolerated or exceeded."""
    return results >= FEW and failures > share * results


def tolerated(requests: Sequence[Request], share: float) -> float:
    """The share of failures to tolerate.

    Of requests that failed before all, where they are within `share` of what was wanted at first; else in proportion.
    """
    if not any(request.attempt for request in requests):
        return share
    return min(1.0, share * max(request.of for request in requests) / len(requests))


class Arrivals:
    """The methods of an `Engine` by `generate` alone."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        raise NotImplementedError

    def batches(self, queries: Sequence[Query]) -> list[list[int]]:
        """All at once: `generate` bounds what is under way."""
        return [list(range(len(queries)))]

    def rate(self, queries: Sequence[Query]) -> Rate | None:
        """The speed of a service shows only under load."""
        return None

    def complete(self, queries: Sequence[Query], keys: Sequence[str]) -> list[Completion]:
        """All answers, in order."""
        completions = {
            r.key: r.completion for r in self.generate([Request(k, a) for k, a in zip(keys, queries, strict=True)])
        }
        return [completions[key] for key in keys]
