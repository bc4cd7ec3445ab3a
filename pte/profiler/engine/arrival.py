"""What engines have in common whose answers arrive one by one: a server, files of a batch service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pte.profiler.base import Ask, Completion, Rate, Request, Result


class Arrivals:
    """The methods of an `Engine` by `generate` alone."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        raise NotImplementedError

    def batches(self, asks: Sequence[Ask]) -> list[list[int]]:
        """All at once: `generate` bounds what is under way."""
        return [list(range(len(asks)))]

    def rate(self, asks: Sequence[Ask]) -> Rate | None:
        """The speed of a service shows only under load."""
        return None

    def complete(self, asks: Sequence[Ask], keys: Sequence[str]) -> list[Completion]:
        """All answers, in order."""
        completions = {
            r.key: r.completion for r in self.generate([Request(k, a) for k, a in zip(keys, asks, strict=True)])
        }
        return [completions[key] for key in keys]
