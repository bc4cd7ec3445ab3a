"""Requests and answers as OpenAI Batch files: JSON lines, matched by `custom_id`, the content key of a generation.

Hosted batch services and `vllm run-batch` read and write them. Requests go to FOLDER/requests-*.jsonl, cut at the
limits of the hosted service; answers are read from FOLDER/results/*.jsonl in any order, in part, and as often as they
are there. What a service could not do for now (a limit, a fault of its own, an expired batch) is requested again in the
next file; what it will never do is a result, as in `profiler=openai`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pte.artifact import digest, replacing
from pte.profiler.base import FAILED, Completion, Request, Result
from pte.profiler.engine.arrival import Arrivals, tolerated, too_many
from pte.profiler.engine.chat import FILTERED, body, read_answer, reduced, refused_field
from pte.schema import InputError

MOST_LINES, MOST_BYTES = 50_000, 200_000_000  # of one file: OpenAI, Batch API guide, "Rate limits"
URL = "/v1/chat/completions"
NEVER = {400, 413, 422}  # of this prompt: requesting again would not help


class BatchEngine(Arrivals):
    """A model that is queried by files."""

    def __init__(
        self,
        model: str,
        folder: Path,
        decoding: Mapping[str, Any],
        without: frozenset[str],
        failure_share: float,
        *,
        seed: int = 0,
    ) -> None:
        self.model, self.folder, self.decoding = model, folder, decoding
        self.without, self.failure_share = without, failure_share
        self.seed = seed  # of all draws

    def identity(self) -> Mapping[str, Any]:
        known = {"model": {"served": self.model, "host": "batch"}, "decoding": dict(self.decoding)}
        return {**known, "seed": self.seed} if self.seed else known

    def generate(self, requests: Sequence[Request]) -> Iterator[Result]:
        """What the result files hold; then, where something is missing, its request files and InputError."""
        requested = {request.key: request for request in requests}
        answered, failed, counts = self._read(requested)
        self._refuse(answered, failed, requested)
        yield from (Result(key, completion) for key, completion in {**failed, **answered}.items())
        missing = [request for request in requests if request.key not in answered and request.key not in failed]
        if missing:
            files = self.write(missing)
            left_out = ", ".join(f"{n:,} {noun}" for noun, n in counts.items() if n)
            raise InputError(
                f"profiles: {len(missing):,} of {len(requests):,} answers are missing"
                + (f" (in {self.folder / 'results'}: {left_out})" if left_out else "")
                + f". They are requested in {_listed(files)}: send each as a batch (or vllm run-batch -i FILE -o"
                f" {self.folder / 'results'}/NAME.jsonl --model {self.model}), put what comes back, answers and error"
                f" files, into {self.folder / 'results'} as .jsonl, and type the same command again"
            )

    def write(self, requests: Sequence[Request]) -> list[Path]:
        """Request files within the limits, named by their content: the same questions give the same files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "results").mkdir(exist_ok=True)
        files: list[Path] = []
        lines: list[bytes] = []
        size = 0
        for request in requests:
            line = json.dumps(self._line(request)).encode() + b"\n"
            if lines and (len(lines) >= MOST_LINES or size + len(line) > MOST_BYTES):
                files.append(self._file(lines))
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        return [*files, self._file(lines)]

    def _line(self, request: Request) -> dict[str, Any]:
        fields = reduced(body(self.model, request.query, request.key, self.decoding), self.without)
        return {"custom_id": request.key, "method": "POST", "url": URL, "body": fields}

    def _file(self, lines: list[bytes]) -> Path:
        path = self.folder / f"requests-{digest([line.decode() for line in lines])[:12]}.jsonl"
        with replacing(path) as scratch:
            scratch.write_bytes(b"".join(lines))
        return path

    def _read(
        self, requested: Mapping[str, Request]
    ) -> tuple[dict[str, Completion], dict[str, Completion], Counter[str]]:
        """Completions, final failures of requests without one, and counts of the other lines. The first answer wins."""
        answered: dict[str, Completion] = {}
        failed: dict[str, Completion] = {}
        counts: Counter[str] = Counter()
        for file in sorted((self.folder / "results").glob("*.jsonl")):
            with file.open("rb") as lines:
                for raw in lines:
                    key, completion = _outcome(raw, self.decoding["max_tokens"])
                    if key not in requested:
                        counts["lines that answer no open question" if key else "unreadable lines"] += bool(raw.strip())
                    elif completion is None:
                        counts["answers to be requested again"] += 1
                    else:
                        (failed if completion.finish == FAILED else answered).setdefault(key, completion)
        return answered, {key: value for key, value in failed.items() if key not in answered}, counts

    def _refuse(
        self, answered: Mapping[str, Completion], failed: Mapping[str, Completion], requested: Mapping[str, Request]
    ) -> None:
        """InputError where more fail than is tolerated; nothing is recorded, so that it can be queried otherwise."""
        done = len(answered) + len(failed)
        if not too_many(len(failed), done, tolerated(list(requested.values()), self.failure_share)):
            return
        key, example = next(iter(failed.items()))
        field = refused_field({"error": {"message": example.detail}}, self._line(requested[key])["body"])
        how = f"Type profiler.without=[{','.join(sorted({*self.without, field}))}]" if field else "Look at the results"
        raise InputError(
            f"{len(failed):,} of {done:,} answers in {self.folder / 'results'} are failures, more than"
            f" profiler.failure_share={self.failure_share}; one says: {example.detail}. {how}, remove"
            " these results, and type the same command again"
        )


def _outcome(raw: bytes, limit: int) -> tuple[str, Completion | None]:
    """custom_id ("" where the line cannot be read) and what became of it; None: to be sent again.

    limit: the tokens asked for at most.
    """
    try:
        line = json.loads(raw)
        key = line["custom_id"]
        response = line.get("response") or {}
        code, answer = response.get("status_code") or 0, response.get("body")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", None
    if not isinstance(key, str):
        return "", None
    if code == 200 and not line.get("error"):
        parsed = read_answer(answer, limit)
        return key, None if parsed is None else parsed.completion
    words = _words(answer) or _words(line.get("error"))
    if code not in NEVER:
        return key, None
    return key, Completion("", 0, "content_filter" if FILTERED.search(words) else FAILED, 0, words[:300])


def _words(error: Any) -> str:
    """The message of an error object, wherever it stands."""
    inner = error.get("error", error) if isinstance(error, dict) else error
    return str(inner.get("message", inner)) if isinstance(inner, dict) else str(inner or "")


def _listed(files: Sequence[Path]) -> str:
    return f"{files[0]}" + (f" and {len(files) - 1:,} more files beside it" if len(files) > 1 else "")
