"""`profiler=openai`: the closed loop over any server that speaks the OpenAI chat protocol (vLLM, SGLang, a cloud)."""

from __future__ import annotations

from typing import Unpack

from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.cost import UNKNOWN, Tariff, served
from pte.profiler.engine.openai import OpenAIEngine, Server
from pte.profiler.language import LanguageModelProfiler, LoopKnobs, loop_of
from pte.profiler.loop import workload
from pte.schema import InputError, View


class OpenAIProfiler(LanguageModelProfiler):
    """K candidates from a served model."""

    def __init__(
        self,
        *,
        model: str | None,
        base_url: str,
        decoding: Sampling,
        server: Server,
        tariff: Tariff = UNKNOWN,
        fingerprint: str | None = None,
        seed: int = 0,
        **loop: Unpack[LoopKnobs],
    ) -> None:
        if not model:
            raise InputError("profiler.model is missing: type profiler.model=NAME, the name the server knows it by")
        played = loop_of(decoding.temperatures, seed=seed, **loop)
        sampling = decoding.holding(played.style.tokens)
        engine = OpenAIEngine(model, base_url, sampling, server, seed=seed, fingerprint=fingerprint, price=tariff.price)
        super().__init__(engine, played, noun=model, generator=engine)
        self.new_tokens, self.tariff = engine.decoding["max_tokens"], tariff

    def forecast(self, view: View) -> list[str]:
        """Prompts, tokens, and what the tariff makes of them."""
        return served(workload(self.loop, view), self.new_tokens, self.tariff, self.loop.retries)
