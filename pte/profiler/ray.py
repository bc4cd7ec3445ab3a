"""`profiler=ray`: the closed loop over a Ray cluster, for what one machine cannot ask or write in time."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.cluster import Cluster, ClusterEngine
from pte.profiler.engine.cost import UNKNOWN, Tariff, served
from pte.profiler.language import LanguageModelProfiler, LoopKnobs, loop_of
from pte.profiler.loop import workload
from pte.schema import InputError, View

TOGETHER = 1024  # answers logged at a time: they lie in files, so that none is lost


class RayProfiler(LanguageModelProfiler):
    """K candidates from a server that the cluster asks, or from vLLM in the cluster (base_url=None)."""

    def __init__(
        self,
        *,
        model: str | None,
        base_url: str | None,
        folder: str | None,
        decoding: Sampling,
        cluster: Cluster,
        tariff: Tariff = UNKNOWN,
        seed: int = 0,
        **loop: Unpack[LoopKnobs],
    ) -> None:
        if not model or not folder:
            raise InputError("profiler=ray needs profiler.model=NAME and profiler.folder=PATH that all nodes can read")
        played = loop_of(decoding.temperatures, seed=seed, **loop)
        decoding = decoding.holding(played.style.tokens)
        engine = ClusterEngine(model, base_url, Path(folder).expanduser(), decoding, cluster, seed=seed)
        super().__init__(engine, played, noun=model, generator=engine, together=TOGETHER)
        self.new_tokens, self.tariff = decoding.max_new_tokens, tariff

    def forecast(self, view: View) -> list[str]:
        """Prompts, tokens, and what the tariff makes of them."""
        return served(workload(self.loop, view), self.new_tokens, self.tariff)
