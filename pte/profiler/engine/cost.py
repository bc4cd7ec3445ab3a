"""What a loop will cost, estimated beforehand: prompts, tokens, minutes or money at a measured or stated rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pte.profiler.base import Query, Rate
from pte.profiler.engine.record import Workload, forecast
from pte.schema import InputError

LETTERS = 4.0  # of English text to a token, where no tokenizer is at hand


@dataclass(frozen=True)
class Tariff:
    """Stated throughput and price of a service; decides no text."""

    tokens_per_second: float | None = None  # new ones, of all requests together
    price: Sequence[float] | None = None  # of a million prompt tokens and of a million new ones, in whatever currency

    def __post_init__(self) -> None:
        if self.price is not None and (len(self.price) != 2 or min(self.price) < 0):
            raise InputError(
                f"profiler.tariff.price={list(self.price)}: give two numbers, of a million prompt and of new tokens"
            )
        if self.tokens_per_second is not None and self.tokens_per_second <= 0:
            raise InputError(f"profiler.tariff.tokens_per_second={self.tokens_per_second} must be above 0")


UNKNOWN = Tariff()


def served(work: Workload, new_tokens: int, tariff: Tariff, retries: int) -> list[str]:
    """Of an engine to which each completion, and each retry of a faulty one, is a request with a prompt of its own."""
    count = work.completions * (1 + retries)
    prompt_tokens = count * float(np.mean([letters(query) for query in work.sample()])) / LETTERS
    new = count * new_tokens
    again = f", {work.completions:,} and as many again where all were faulty" if retries else ""
    lines = [
        f"profiles: at most {count:,} generations{again}, one prompt each; about {prompt_tokens:,.0f} prompt tokens"
        f" ({LETTERS:g} letters to a token) and at most {new:,} new ones; what is recorded is not paid for again"
    ]
    if tariff.price is not None:
        money = (prompt_tokens * tariff.price[0] + new * tariff.price[1]) / 1e6
        lines.append(f"profiles: at most about {money:,.2f} at the stated profiler.tariff.price={list(tariff.price)}")
    if tariff.tokens_per_second is not None:
        minutes = new / tariff.tokens_per_second / 60
        lines.append(f"profiles: at most about {minutes:,.1f} minutes at the stated tokens per second")
    if tariff == UNKNOWN:
        lines.append(
            "profiles: no rate is stated: profiler.tariff.price=[IN,OUT] of a million tokens gives the price,"
            " profiler.tariff.tokens_per_second=N the minutes"
        )
    return lines


def local(work: Workload, rate: Rate | None) -> list[str]:
    """Of a model in this process; None: its weights are not on this machine, so that nothing can be measured."""
    head = f"profiles: at most {work.completions:,} generations from {work.prompts:,} prompts; "
    if rate is not None:
        return [head + forecast(work, rate, 1.0)]
    prompt_tokens = work.prompts * float(np.mean([letters(query) for query in work.sample()])) / LETTERS
    return [
        f"{head}about {prompt_tokens:,.0f} prompt tokens ({LETTERS:g} letters to a token);"
        " minutes once the model is here"
    ]


def letters(query: Query) -> int:
    return len(query.prompt.text)
