"""`profiler=batch`: the closed loop by files of requests that a batch service, or `vllm run-batch`, answers in time.

Each leg of the loop (items, users, items ...) needs the texts of the one before, and so is a round trip of its own:
the run writes what is missing and stops; with the answers in place the same command goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from pte.paths import expanded_folder
from pte.profiler.engine.arrival import check_failure_share
from pte.profiler.engine.batch_file import BatchEngine
from pte.profiler.engine.chat import OPTIONAL, Sampling
from pte.profiler.engine.cost import UNKNOWN, Tariff
from pte.profiler.language import IN_FILES, LoopKnobs, ServedProfiler, loop_of
from pte.schema import InputError, Runtime


class BatchProfiler(ServedProfiler):
    """K candidates from a model queried by files; InputError names the files of what is missing."""

    portion = None  # a whole leg is one round trip

    def __init__(
        self,
        *,
        model: str | None,
        folder: Runtime[str | None],
        decoding: Sampling,
        tariff: Runtime[Tariff] = UNKNOWN,
        without: Runtime[Sequence[str]] = (),
        failure_share: Runtime[float] = 0.1,
        seed: int = 0,
        failed_retries: int = 0,
        **loop: Unpack[LoopKnobs],
    ) -> None:
        if not model or not folder:
            raise InputError("profiler=batch needs profiler.model=NAME and profiler.folder=PATH, where its files go")
        if unknown := [name for name in without if name not in OPTIONAL]:
            raise InputError(f"profiler.without={unknown}: only {', '.join(OPTIONAL)} can be left out of a request")
        check_failure_share(failure_share, "profiler.failure_share")
        played = loop_of(decoding.temperatures, seed=seed, **loop)
        settings = decoding.holding(played.style.tokens).identity()
        engine = BatchEngine(
            model, expanded_folder(folder, "profiler.folder"), settings, frozenset(without), failure_share, seed=seed
        )
        super().__init__(engine, played, noun=model, generator=engine, together=IN_FILES, failed_retries=failed_retries)
        self.new_tokens, self.tariff = settings["max_tokens"], tariff
