"""`profiler=transformers`: the closed loop over any causal language model that Hugging Face transformers loads."""

from __future__ import annotations

from typing import Unpack

from pte.profiler.engine.causal import Causal
from pte.profiler.engine.cost import local
from pte.profiler.engine.decode import Decoding
from pte.profiler.engine.transformers import TransformersEngine
from pte.profiler.language import LanguageModelProfiler, LoopKnobs, loop_of
from pte.profiler.loop.closed_loop import workload
from pte.schema import Runtime, View

SAMPLE = 32  # completions to measure a plan on: of fewer the weights alone are timed, a whole batch takes a minute


class TransformersProfiler(LanguageModelProfiler):
    """K candidates from a causal language model; the model is loaded when the first completion is missing."""

    engine: TransformersEngine

    def __init__(
        self,
        *,
        model: str,
        sha256: str | None,
        revision: str | None,
        device: Runtime[str],
        dtype: str,
        decoding: Decoding,
        batch_size: Runtime[int],
        seed: int = 0,
        **loop: Unpack[LoopKnobs],
    ) -> None:
        played = loop_of(decoding.temperatures, seed=seed, **loop)
        causal = Causal(model=model, sha256=sha256, revision=revision, device=device, dtype=dtype)
        engine = TransformersEngine(causal, decoding.holding(played.style.tokens), batch_size, seed=seed)
        super().__init__(engine, played, noun=model.rstrip("/").rsplit("/", 1)[-1])

    def forecast(self, view: View) -> list[str]:
        """Prompts, tokens and minutes, measured on a sample where the weights are on this machine."""
        work = workload(self.loop, view)
        return local(work, self.engine.rate(list(work.sample())[:SAMPLE]) if self.engine.causal.at_hand else None)
