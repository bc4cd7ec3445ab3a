"""Batches, tokens and draws of a causal language model that Hugging Face transformers loads.

The K candidates of one entity share instruction and data: these are prefilled once and the cache expanded (decode.py).
Draws are seeded by each generation's key, so a text depends neither on its batch's company nor on a global seed; what
arithmetic rounds differently from machine to machine, or from one number of threads to another, is kept stable by the
log, not by the seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pte.nn.threads import Threads
from pte.profiler.base import CUT, Completion, Query, Rate, Watch
from pte.profiler.engine.causal import Causal, model_identity
from pte.profiler.engine.decode import Decoding, Rows, continue_rows, unwatched
from pte.profiler.prompt import Prompt
from pte.profiler.text.style import JSON_LEAD
from pte.schema import InputError, require

if TYPE_CHECKING:
    from torch import Tensor


class TransformersEngine:
    """Batches, tokens, draws."""

    def __init__(self, causal: Causal, decoding: Decoding, batch_size: int, *, seed: int = 0) -> None:
        require(batch_size >= 1, "profiler.batch_size", batch_size, "must be at least 1")
        self.causal, self.decoding, self.batch_size = causal, decoding, batch_size
        self.seed = seed  # of all draws
        self.watch: Watch = unwatched
        self.threads = Threads()

    @cached_property
    def _identity(self) -> Mapping[str, Any]:
        dtype = str(self.causal.dtype).removeprefix("torch.")  # as auto resolves here: it decides the completions
        known = {"model": model_identity(self.causal), "decoding": self.decoding.identity(), "dtype": dtype}
        return {**known, "turn": 2, "seed": self.seed}  # turn: how a prompt becomes tokens

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def batches(self, queries: Sequence[Query]) -> list[list[int]]:
        """Queries of one prefix stay together, by its length, the longest first: what is too large fails at once."""
        groups: dict[str, list[int]] = {}
        for i, query in enumerate(queries):
            groups.setdefault(query.prompt.prefix(), []).append(i)
        batches: list[list[int]] = [[]]
        for prefix in sorted(groups, key=lambda prefix: (-len(prefix), prefix)):
            group = groups[prefix]
            if batches[-1] and len(batches[-1]) + len(group) > self.batch_size:
                batches.append([])
            batches[-1] += group
        return [batch[i : i + self.batch_size] for batch in batches for i in range(0, len(batch), self.batch_size)]

    def complete(self, queries: Sequence[Query], keys: Sequence[str]) -> list[Completion]:
        """Continue every prompt; R rows."""
        steps = self.decoding.max_new_tokens
        uniform = np.stack([uniforms(key, steps) for key in keys]) if keys else np.zeros((0, steps))
        one_line = [query.prompt.lead != JSON_LEAD for query in queries]
        new = self._continue(
            queries,
            torch.from_numpy(uniform).float(),
            lambda row, token: self.causal.ends(token, one_line=one_line[row]),
            self.watch,
        )
        ended = [self.causal.ends(t[-1], one_line=line) for t, line in zip(new, one_line, strict=True)]
        return [
            Completion(self.causal.text(tokens), len(tokens), "stop" if whole else CUT)
            for tokens, whole in zip(new, ended, strict=True)
        ]

    def rate(self, queries: Sequence[Query]) -> Rate | None:
        """Seconds of one batch's prompts and of some steps after them; a small batch before lets kernels be chosen."""
        queries = list(queries)[: self.batch_size]
        lengths = {query.prompt.prefix(): len(self._tokens(query.prompt)[0]) for query in queries}
        marks: list[float] = []

        def mark(row: int, token: int) -> bool:
            if row == 0:
                marks.append(time.perf_counter())
            return False

        self._continue(queries[:4], torch.full((4, 2), 0.5)[: len(queries)], lambda row, token: False)
        began = time.perf_counter()
        self._continue(queries, torch.full((len(queries), 5), 0.5), mark)
        steps = self.decoding.max_new_tokens
        return Rate(
            prompt_tokens=float(np.mean(list(lengths.values()))),
            new_tokens=steps,
            prompt_seconds=(marks[0] - began) / len(lengths),
            completion_seconds=(marks[-1] - marks[0]) / (len(marks) - 1) / len(queries) * steps,
        )

    def _continue(
        self, queries: Sequence[Query], uniform: Tensor, stops: Callable[[int, int], bool], watch: Watch = unwatched
    ) -> list[list[int]]:
        """New tokens of each row, uniform: (R, steps)."""
        prefixes: dict[str, int] = {}
        prefix_tokens, leads, row_prefix = [], [], []
        for query in queries:
            prefix = query.prompt.prefix()
            if prefix not in prefixes:
                prefixes[prefix] = len(prefixes)
                prefix_tokens.append(self._tokens(query.prompt)[0])
            row_prefix.append(prefixes[prefix])
            leads.append(self._tokens(query.prompt)[1])
        rows = Rows(
            prefixes=prefix_tokens,
            row_prefix=torch.tensor(row_prefix),
            leads=leads,
            temperature=torch.tensor([query.temperature for query in queries]),
            uniform=uniform,
        )

        def step(tokens: int, share: float) -> None:
            self.threads.fit()
            watch(tokens, share)

        model = self.causal.model
        with self.threads.fitted():
            return continue_rows(model, rows, stops=stops, pad=self.causal.pad, decoding=self.decoding, watch=step)

    def _tokens(self, prompt: Prompt) -> tuple[list[int], list[int]]:
        """Tokens of prefix and lead; data lines are dropped from their end where the context is too short."""
        room = self.causal.context - self.decoding.max_new_tokens
        lines = prompt.data.count("\n") + 1
        while True:
            prefix, lead = self.causal.tokens(prompt.prefix(lines), prompt.lead)
            if len(prefix) + len(lead) <= room:
                return prefix, lead
            if not lines:
                raise InputError(
                    f"profiler.model={self.causal.model_name}: its context of {self.causal.context} tokens cannot hold"
                    f" the instruction and {self.decoding.max_new_tokens} new tokens;"
                    " lower profiler.decoding.max_new_tokens"
                )
            lines -= 1


def uniforms(key: str, steps: int) -> np.ndarray:
    """(steps,) numbers in [0, 1) of a generation, from its key alone (a counter-based generator)."""
    return np.random.Generator(np.random.Philox(key=int(key[:32], 16))).random(steps)
