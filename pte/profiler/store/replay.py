"""Answers without a model: completions that were stored with profiles, found by what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pte.profiler.base import Ask, Completion
from pte.profiler.text.draft import AGAIN
from pte.schema import Generation

NOTHING = Completion("", 0)


class Stored:
    """Answers from stored completions by prompt, draw and temperature; what was never asked is counted and empty."""

    def __init__(self, stored: Iterable[Generation]) -> None:
        self._completion = {
            (g.prompt, g.candidate + AGAIN * g.attempt, g.temperature): Completion(
                g.completion, g.tokens, g.finish, g.prompt_tokens
            )
            for g in stored
            if g.prompt
        }

    def __call__(self, asks: Sequence[Ask]) -> list[Completion]:
        return [self._completion.get((a.prompt.text, a.candidate, a.temperature), NOTHING) for a in asks]
