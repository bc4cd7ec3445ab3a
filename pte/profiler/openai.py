"""`profiler=openai`: the closed loop over any server that speaks the OpenAI chat protocol (vLLM, SGLang, a cloud)."""

from __future__ import annotations

from typing import Unpack

from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.cost import UNKNOWN, Tariff
from pte.profiler.engine.openai import OpenAIEngine, Server
from pte.profiler.language import LoopKnobs, ServedProfiler, loop_of
from pte.schema import InputError, Runtime


class OpenAIProfiler(ServedProfiler):
    """K candidates from a served model."""

    def __init__(
        self,
        *,
        model: str | None,
        base_url: str,
        decoding: Sampling,
        server: Runtime[Server],
        tariff: Runtime[Tariff] = UNKNOWN,
        fingerprint: str | None = None,
        seed: int = 0,
        failed_retries: int = 0,
        **loop: Unpack[LoopKnobs],
    ) -> None:
        if not model:
            raise InputError("profiler.model is missing: type profiler.model=NAME, the name the server knows it by")
        played = loop_of(decoding.temperatures, seed=seed, **loop)
        sampling = decoding.holding(played.style.tokens)
        engine = OpenAIEngine(model, base_url, sampling, server, seed=seed, fingerprint=fingerprint, price=tariff.price)
        super().__init__(engine, played, noun=model, generator=engine, failed_retries=failed_retries)
        self.new_tokens, self.tariff = engine.decoding["max_tokens"], tariff
