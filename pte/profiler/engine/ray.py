"""A language model on a Ray cluster, by Ray Data: requests are read from Parquet, results written to Parquet.

Either servers that speak the OpenAI chat protocol are queried by a pool of workers (`HttpRequestProcessorConfig`), each
worker under the policy of `profiler=openai`; or every worker holds a vLLM engine (`vLLMEngineProcessorConfig`). What
was written is known to Ray's own checkpoint by content key, so a killed run goes on where it was; a killed worker is
replaced by Ray, and its batch is requested again. FOLDER holds requests/, results/ and checkpoint/, and must be a place
that all nodes see. Read in ray 2.60: `ray.data.llm`, `ray.data.checkpoint`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from pte.artifact import digest, replacing
from pte.profiler.base import CUT, FAILED, Completion, Request, Result
from pte.profiler.engine.arrival import Arrivals, tolerated, too_many
from pte.profiler.engine.chat import Sampling, body
from pte.profiler.engine.fleet import Fleet
from pte.profiler.engine.openai import OpenAIEngine
from pte.schema import InputError, require

PART = 4096  # requests in a file
CPUS = 2  # at least, of a cluster of our own: Ray's checkpoint filter holds one, what reads and writes needs another
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """Where and how many; none of it decides an answer."""

    address: str | None = None  # null: a cluster of this machine, for this run; auto, ray://HOST:PORT: one that runs
    workers: Sequence[int] = (1, 2)  # the pool grows from and to; equal: a fixed pool
    batch_size: int = 64  # requests that a worker takes at a time, and that are lost with it
    replicas: Sequence[str] = ()  # further base_urls of the same model, queried in turn
    engine_kwargs: Mapping[str, Any] = field(default_factory=dict)  # of vLLM, for speed alone: tensor_parallel_size ...

    def __post_init__(self) -> None:
        if len(self.workers) != 2 or not 1 <= self.workers[0] <= self.workers[1]:
            raise InputError(f"profiler.cluster.workers={list(self.workers)}: give two numbers, [from,to], from 1 on")
        require(self.batch_size >= 1, "profiler.cluster.batch_size", self.batch_size, "must be at least 1")


class RayEngine(Arrivals):
    """A model that a cluster asks, or holds where `servers` are none."""

    def __init__(
        self,
        model: str,
        servers: Sequence[OpenAIEngine],
        folder: Path,
        decoding: Sampling,
        cluster: Cluster,
        *,
        model_kwargs: Mapping[str, Any] | None = None,
        failure_share: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.model, self.servers, self.folder, self.cluster = model, list(servers), folder, cluster
        self.decoding, self.model_kwargs = decoding.identity(), dict(model_kwargs or {})
        self.failure_share, self.seed = failure_share, seed

    def identity(self) -> Mapping[str, Any]:
        """Of servers that of the first one, as `profiler=openai` has it: what that one wrote is known here too."""
        if self.servers:
            return self.servers[0].identity()
        model = {"served": self.model, "host": "vllm", "kwargs": self.model_kwargs}
        return {"model": model, "decoding": self.decoding, "seed": self.seed}

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        """Results by the cluster, those of an earlier run first; InputError where too many fail or some are missing."""
        keys = {request.key for request in requests}
        if keys.difference(*(_read(file, "key")["key"].to_list() for file in self._files())):
            self._run(requests)
        known: set[str] = set()
        failures: list[Result] = []
        for key, completion in self._results(keys):
            if key not in known:
                known.add(key)
                if completion.finish == FAILED:
                    failures.append(Result(key, completion))
                else:
                    yield Result(key, completion)  # paid for, so kept whatever becomes of the others
        self._refuse(failures, len(keys), tolerated(requests, self.failure_share))
        yield from failures
        if missing := len(keys - known):
            raise InputError(
                f"profiles: {missing:,} of {len(keys):,} answers are in {self.folder / 'checkpoint'} and not in"
                f" {self.folder / 'results'}: remove {self.folder} and type the same command again"
            )

    def rows(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        """One row a request: its key, and its body as JSON."""
        for request in requests:
            yield {"key": request.key, "body": json.dumps(body(self.model, request.query, request.key, self.decoding))}

    def config(self, llm: Any) -> Any:
        """The processor's configuration; `llm`: ray.data.llm."""
        pool = (int(self.cluster.workers[0]), int(self.cluster.workers[1]))
        if not self.servers:
            return llm.vLLMEngineProcessorConfig(
                model_source=self.model,
                engine_kwargs={**self.model_kwargs, **self.cluster.engine_kwargs},
                concurrency=pool,
                batch_size=self.cluster.batch_size,
                should_continue_on_error=True,
            )
        return llm.HttpRequestProcessorConfig(
            url=self.servers[0].url,
            concurrency=pool,
            batch_size=self.cluster.batch_size,
            session_factory=Fleet(self.servers),
            http_request_stage={"num_cpus": 0},  # it waits for a server
        )

    def _run(self, requests: Sequence[Request]) -> None:
        """One pass of the cluster over the requests; what its checkpoint knows is left out by Ray."""
        import ray
        from ray.data import DataContext, llm
        from ray.data.checkpoint import CheckpointConfig

        for server in self.servers:
            server.key()
        source = self._write(requests)
        (low, high), where = self.cluster.workers, self.cluster.address or "this machine"
        logger.info(f"{self.model}: {len(requests):,} requests to {low} to {high} workers of Ray on {where}")
        own = not ray.is_initialized()
        context = DataContext.get_current()
        before = context.checkpoint_config, context.enable_progress_bars
        context.enable_progress_bars = False
        context.checkpoint_config = CheckpointConfig(
            id_column="key", checkpoint_path=str(self.folder / "checkpoint"), delete_checkpoint_on_success=False
        )
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        try:
            if own:
                here = {"include_dashboard": False, "num_cpus": max(CPUS, os.cpu_count() or 1)}
                here = here if self.cluster.address is None else {}
                ray.init(self.cluster.address, logging_level=logging.ERROR, log_to_driver=False, **here)
            data = ray.data.read_parquet(str(source)).repartition(target_num_rows_per_block=self.cluster.batch_size)
            process = llm.build_processor(self.config(llm), preprocess=payload if self.servers else messages)
            process(data).map(result_row).write_parquet(str(self.folder / "results"), mode="append")
        except Exception as error:
            raise InputError(
                f"profiler=ray: {words(error)}. What was answered is recorded, but for batches at work; type the same"
                " command again"
            ) from error
        finally:
            context.checkpoint_config, context.enable_progress_bars = before
            if own:
                ray.shutdown()

    def _write(self, requests: Sequence[Request]) -> Path:
        """requests/HASH/part-*.parquet; the same questions give the same files."""
        place = self.folder / "requests" / digest([request.key for request in requests])[:16]
        place.mkdir(parents=True, exist_ok=True)
        rows = self.rows(requests)
        for part, block in enumerate(iter(lambda: list(islice(rows, PART)), [])):
            with replacing(place / f"part-{part:05d}.parquet") as scratch:
                pl.DataFrame(block).write_parquet(scratch)
        return place

    def _files(self) -> list[Path]:
        return sorted((self.folder / "results").glob("**/*.parquet"))

    def _results(self, keys: set[str]) -> Iterator[tuple[str, Completion]]:
        """Rows of all result files that answer these keys, file by file."""
        for file in self._files():
            for row in _read(file, "key", *ANSWER).iter_rows(named=True):
                if row["key"] in keys:
                    yield row["key"], Completion(**{name: row[name] for name in ANSWER})

    def _refuse(self, failures: Sequence[Result], total: int, share: float) -> None:
        """InputError where more fail than is tolerated; no failure is recorded then."""
        if too_many(len(failures), total, share):
            raise InputError(
                f"{len(failures):,} of {total:,} requests failed, more than profiler.server.failure_share="
                f"{share}; one says: {failures[0].completion.detail}. Repair it, remove {self.folder},"
                " and type the same command again"
            )


def _read(file: Path, *columns: str) -> pl.DataFrame:
    """A file of results; one that cannot be read counts as empty, with a warning."""
    try:
        return pl.read_parquet(file, columns=list(columns))
    except pl.exceptions.PolarsError:
        logger.warning(f"{file} cannot be read: what it answers is missing")
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))


ANSWER = ("text", "tokens", "finish", "prompt_tokens", "detail")  # of a Completion, and the columns of results/


def payload(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the HTTP stage posts."""
    return {"payload": json.loads(row["body"])}


def messages(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the vLLM stages read of a chat body."""
    fields = json.loads(row["body"])
    sampling = {name: fields[name] for name in ("temperature", "top_p", "max_tokens", "seed") if name in fields}
    if "response_format" in fields:
        sampling["structured_outputs"] = {"json": fields["response_format"]["json_schema"]["schema"]}
    return {"messages": fields["messages"], "sampling_params": sampling}


def result_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """key and ANSWER of what either kind of processor leaves; a failed row has no text, and its words as detail."""
    if failure := row.get("__inference_error__"):
        done = Completion("", 0, FAILED, 0, str(failure)[:300])
    elif "http_response" in row:
        done = Completion(**row["http_response"])
    else:
        tokens = int(row["num_generated_tokens"])
        finish = CUT if tokens >= json.loads(row["body"])["max_tokens"] else "stop"  # vLLM's own is not handed on
        done = Completion(str(row["generated_text"]), tokens, finish, int(row["num_input_tokens"]))
    return {"key": row["key"], **asdict(done)}


def words(error: BaseException) -> str:
    """The message of our own error in a worker, else the last line of Ray's."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, InputError):
            return str(chain)
        chain = getattr(chain, "cause", None) or chain.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    sentences = [line.partition("InputError: ")[2] for line in lines if "InputError: " in line]
    return (sentences or lines)[-1][:500].rstrip(".")
