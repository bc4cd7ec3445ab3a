"""`profiler=ray`: the closed loop on a Ray cluster, for more than one machine can write."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Unpack

from pte.paths import expanded_folder
from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.cost import UNKNOWN, Tariff
from pte.profiler.engine.openai import OpenAIEngine, Server
from pte.profiler.engine.ray import Cluster, RayEngine
from pte.profiler.language import IN_FILES, LoopKnobs, ServedProfiler, loop_of
from pte.schema import InputError, Runtime


class RayProfiler(ServedProfiler):
    """K candidates from servers that a cluster's workers ask, or from vLLM in each of them."""

    portion = 32_768  # a pass of the cluster over a portion's prompts starts its workers anew

    def __init__(
        self,
        *,
        model: str | None,
        folder: Runtime[str | None],
        base_url: str | None,
        decoding: Sampling,
        cluster: Runtime[Cluster],
        server: Runtime[Server],
        model_kwargs: Mapping[str, Any] | None = None,
        tariff: Runtime[Tariff] = UNKNOWN,
        seed: int = 0,
        failed_retries: int = 0,
        **loop: Unpack[LoopKnobs],
    ) -> None:
        if not model or not folder:
            raise InputError("profiler=ray needs profiler.model=NAME and profiler.folder=PATH, which all its nodes see")
        needed = ["ray", "pyarrow", "aiohttp"] if base_url else ["ray", "pyarrow", "vllm"]
        if absent := [name for name in needed if find_spec(name) is None]:
            raise InputError(
                f"profiler=ray needs what is not installed here ({', '.join(absent)}): pip install 'pte[ray]'"
                + ("" if base_url else " vllm, in an environment of its own, or give profiler.base_url=URL of a server")
            )
        if server.budget_tokens is not None or server.budget_money is not None:
            raise InputError("profiler.server.budget_*: workers of profiler=ray share no count; see plan=true")
        played = loop_of(decoding.temperatures, seed=seed, **loop)
        sampling = decoding.holding(played.style.tokens)
        urls = [base_url, *cluster.replicas] if base_url else []
        servers = [OpenAIEngine(model, url, sampling, server, seed=seed) for url in urls]
        engine = RayEngine(
            model,
            servers,
            expanded_folder(folder, "profiler.folder").absolute(),
            sampling,
            cluster,
            model_kwargs=model_kwargs,
            failure_share=server.failure_share,
            seed=seed,
        )
        super().__init__(engine, played, noun=model, generator=engine, together=IN_FILES, failed_retries=failed_retries)
        self.new_tokens, self.tariff = engine.decoding["max_tokens"], tariff
