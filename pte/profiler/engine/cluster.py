"""Requests spread over a Ray cluster by Ray Data: to a fleet behind one address, or to vLLM on the cluster's own GPUs.

Requests go to FOLDER/<leg>/request/*.parquet (key, payload), answers to FOLDER/<leg>/result/*.parquet (key, answer).
Ray's checkpoint by `key` is kept beside them: the same command after a kill goes on with the rows that are not done.
One row that fails does not end the others. Needs `pip install 'pte[ray]'`; every node needs pte, too.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from pte.artifact import digest
from pte.profiler.base import Completion, Request, Result
from pte.profiler.engine.arrival import Arrivals
from pte.profiler.engine.chat import Sampling, body, message_text, read_answer
from pte.profiler.engine.secret import check_url, check_variable, mask, read_key
from pte.schema import InputError

logger = logging.getLogger(__name__)

FILES = 8  # of requests to a worker: what a killed worker does again is one of them at most
FEW = 20  # answers before a share of failures means anything


@dataclass(frozen=True)
class Cluster:
    """Where Ray runs and how much of it is used; decides no text."""

    address: str | None = None  # null: a cluster of its own on this machine; auto, or ray://HOST:10001
    workers: int = 2  # actors that ask, or replicas of vLLM
    batch_size: int = 16  # requests of an actor at a time
    requests_per_second: int | None = None  # of an actor; null: one after the other
    retries: int = 5
    key_variable: str = "OPENAI_API_KEY"
    failure_share: float = 0.1  # of the answers; more ends the run

    def __post_init__(self) -> None:
        check_variable(self.key_variable)
        if self.workers < 1 or self.batch_size < 1 or self.retries < 0 or not 0 <= self.failure_share <= 1:
            raise InputError(
                f"profiler.cluster: workers={self.workers} and batch_size={self.batch_size} must be at least 1,"
                f" retries={self.retries} at least 0, failure_share={self.failure_share} in [0, 1]"
            )


class ClusterEngine(Arrivals):
    """A model asked through Ray Data. base_url None: vLLM in the cluster, else an OpenAI-compatible server."""

    def __init__(
        self, model: str, base_url: str | None, folder: Path, decoding: Sampling, cluster: Cluster, *, seed: int = 0
    ) -> None:
        self.model, self.folder, self.sampling, self.cluster = model, folder, decoding, cluster
        self.decoding, self.seed = decoding.identity(), seed
        self.host = check_url(base_url).netloc if base_url else "vllm"
        self.url = base_url.rstrip("/") + "/chat/completions" if base_url else None

    def identity(self) -> Mapping[str, Any]:
        """That of a server asked one by one: where the requests come from decides nothing."""
        return {"model": {"served": self.model, "host": self.host}, "decoding": self.decoding, "seed": self.seed}

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        """Ask what no result file holds, then hand on all results; InputError where answers are missing or bad."""
        wanted = sorted(request.key for request in requests)
        leg = self.folder / digest(wanted)[:16]
        results = self._results(set(wanted))
        if missing := [request for request in requests if request.key not in results]:
            if not (leg / "request").exists():
                self._write(missing, leg)
            self._run(leg)
            results = self._results(set(wanted))
        failures = {key: c for key, c in results.items() if c.finish == "error"}
        bad = len(results) >= FEW and len(failures) > self.cluster.failure_share * len(results)
        for key, completion in results.items():
            if not (bad and key in failures):
                yield Result(key, completion)
        if bad:
            raise InputError(
                f"{len(failures):,} of {len(results):,} answers are failures, more than profiler.cluster.failure_share="
                f"{self.cluster.failure_share}; one says: {next(iter(failures.values())).detail}. The others are"
                " recorded; type the same command again once the server is well"
            )
        if len(results) < len(wanted):
            raise InputError(
                f"profiles: {len(wanted) - len(results):,} of {len(wanted):,} answers are missing in {leg}: remove this"
                " folder, then type the same command again; what is recorded is not asked again"
            )

    def _write(self, requests: Sequence[Request], leg: Path) -> None:
        """Requests in Parquet files, visible all at once."""
        scratch = leg / ".request"
        scratch.mkdir(parents=True, exist_ok=True)
        count = min(len(requests), FILES * self.cluster.workers)
        for i in range(count):
            rows = [{"key": r.key, "payload": json.dumps(self._payload(r))} for r in requests[i::count]]
            pl.DataFrame(rows).write_parquet(scratch / f"{i:05d}.parquet")
        scratch.rename(leg / "request")

    def _payload(self, request: Request) -> dict[str, Any]:
        if self.url:
            return body(self.model, request.ask, request.key, self.decoding, frozenset())
        return {
            "messages": [{"role": "user", "content": message_text(request.ask.prompt)}],
            "sampling_params": {
                "temperature": request.ask.temperature,
                "seed": int(request.key[:7], 16),
                **self.decoding,
            },
        }

    def _run(self, leg: Path) -> None:
        """Ray Data from request files to result files, going on at its checkpoint."""
        ray = _ray()
        key = read_key(self.cluster.key_variable) if self.url else ""
        from ray.data.checkpoint import CheckpointConfig
        from ray.exceptions import RayError

        mine = not ray.is_initialized()
        if mine:
            options = {"num_cpus": self.cluster.workers + 2} if self.cluster.address is None else {}
            ray.init(
                address=self.cluster.address,
                include_dashboard=False if self.cluster.address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **options,
            )
        try:
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.checkpoint_config = CheckpointConfig(
                id_column="key", checkpoint_path=str(leg.resolve() / "checkpoint"), delete_checkpoint_on_success=False
            )
            rows = ray.data.read_parquet(str((leg / "request").resolve()))
            self._processor(key)(rows).write_parquet(str((leg / "result").resolve()))
        except (RayError, ConnectionError, RuntimeError, OSError) as error:
            words = mask(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__, key)
            raise InputError(
                f"Ray stopped: {words[:300]}. What was answered lies in {leg}; type the same command again to go on"
            ) from None
        finally:
            if mine:
                ray.shutdown()

    def _processor(self, key: str) -> Any:
        from ray.data.llm import HttpRequestProcessorConfig, build_processor, vLLMEngineProcessorConfig

        cluster = self.cluster
        if self.url:
            config = HttpRequestProcessorConfig(
                url=self.url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                batch_size=cluster.batch_size,
                concurrency=cluster.workers,
                qps=cluster.requests_per_second,
                max_retries=cluster.retries,
            )
            return build_processor(config, preprocess=_request, postprocess=_answer)
        if find_spec("vllm") is None:
            raise InputError(
                "profiler.base_url=null runs vLLM in the cluster, and vllm is not installed here: pip install vllm, or"
                " type profiler.base_url=URL of a server"
            )
        config = vLLMEngineProcessorConfig(
            model_source=self.model,
            batch_size=cluster.batch_size,
            concurrency=(cluster.workers, cluster.workers),
            should_continue_on_error=True,
        )
        return build_processor(config, preprocess=_vllm_request, postprocess=_vllm_answer)

    def _results(self, wanted: set[str]) -> dict[str, Completion]:
        """The answers to `wanted` in all result files; an answer counts before a failure, the first one of equals."""
        found: dict[str, Completion] = {}
        for file in sorted(self.folder.glob("*/result/*.parquet")):
            try:
                table = pl.read_parquet(file, columns=["key", "answer"])
            except (pl.exceptions.PolarsError, OSError):
                continue  # broken off with its writer; its rows are not in the checkpoint
            for key, answer in table.filter(pl.col("key").is_in(list(wanted))).iter_rows():
                completion = _completion(json.loads(answer))
                if key not in found or (found[key].finish == "error" and completion.finish != "error"):
                    found[key] = completion
        return found


def _ray() -> Any:
    """The library, quiet; InputError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if find_spec("ray") is None:
        raise InputError("profiler=ray needs Ray: pip install 'pte[ray]'")
    import ray
    import ray.data

    return ray


def _request(row: dict[str, Any]) -> dict[str, Any]:
    return {"key": row["key"], "payload": json.loads(row["payload"])}


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"key": row["key"], "answer": json.dumps(row["http_response"], default=_plain)}


def _vllm_request(row: dict[str, Any]) -> dict[str, Any]:
    return {"key": row["key"], **json.loads(row["payload"])}


def _vllm_answer(row: dict[str, Any]) -> dict[str, Any]:
    """As a server would have said it."""
    if failed := row.get("__inference_error__"):
        return {"key": row["key"], "answer": json.dumps({"error": {"message": str(failed)[:300]}})}
    told = {
        "choices": [{"message": {"content": row["generated_text"]}, "finish_reason": row.get("finish_reason")}],
        "usage": {
            "completion_tokens": int(row.get("num_generated_tokens") or 0),
            "prompt_tokens": int(row.get("num_input_tokens") or 0),
        },
    }
    return {"key": row["key"], "answer": json.dumps(told, default=_plain)}


def _plain(value: Any) -> Any:
    """Arrow hands lists on as arrays."""
    return value.tolist()


def _completion(answer: Any) -> Completion:
    found = read_answer(answer)
    if found is not None:
        return found.completion
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    words = error.get("message", error) if isinstance(error, dict) else error
    return Completion("", 0, "error", 0, str(words)[:300])
