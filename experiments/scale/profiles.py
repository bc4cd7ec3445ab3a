"""What profiles of 10^4 to 10^6 entities cost beside the language model: prompts, log, texts, vectors.

    nice python experiments/scale/profiles.py

Synthetic histories (catalogue.py), half of the entities people and half items, K = 4 candidates from an engine that
answers at once and a hashed encoder of 64 columns: the stages `profiles` and `embeddings` as a run plays them, each in
a process of its own. Writes result/profiles.json and result/profiles.md. A million entities take some 20 GB of disk.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from catalogue import interactions

from pte.artifact import write_atomic
from pte.profiler.base import Completion, Query
from pte.profiler.language import LanguageModelProfiler
from pte.profiler.loop.closed_loop import Loop
from pte.profiler.prompt import Evidence
from pte.protocol.leave_one_out import LeaveOneOut
from pte.schema import Interactions, Split
from pte.schema.context import Context
from pte.stage import embeddings, profiles

HERE = Path(__file__).resolve().parent
SIZES = (10**4, 10**5, 10**6)
CANDIDATES, WIDTH = 4, 64
WORDS = (
    "quiet", "bold", "odd", "warm", "bleak", "bright", "slow", "quick", "tender", "rough", "plain", "rich", "small",
    "grand", "old", "new",
)  # fmt: skip
STAGES = {"profiles": profiles, "embeddings": embeddings}


class Echo:
    """Answers at once, of words that a key draws."""

    def identity(self) -> dict[str, Any]:
        return {"model": "echo"}

    def batches(self, queries: list[Query]) -> list[list[int]]:
        return [list(range(first, min(first + 1024, len(queries)))) for first in range(0, len(queries), 1024)]

    def complete(self, queries: list[Query], keys: list[str]) -> list[Completion]:
        words = ([WORDS[int(letter, 16)] for letter in key[:8]] for key in keys)
        return [Completion(f" the {' and the '.join(some)} in what they take home.", 20, "stop") for some in words]

    def rate(self, queries: list[Query]) -> None:
        return None


class Hashed:
    """A text's words, each added to a column that its hash names."""

    width, reads_ids = WIDTH, False

    def encode(self, texts: list[str]) -> np.ndarray:
        table = np.zeros((len(texts), WIDTH), np.float32)
        for row, text in zip(table, texts, strict=True):
            for word in re.findall(r"\w+", text):
                row[zlib.crc32(word.encode()) % WIDTH] += 1
        return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)

    def too_long(self, texts: list[str]) -> np.ndarray:
        return np.zeros(len(texts), bool)

    def identity(self) -> dict[str, str]:
        return {"dtype": "float32"}

    def card(self) -> dict[str, Any]:
        return {"model": "hashed"}


def profiler() -> LanguageModelProfiler:
    loop = Loop(
        CANDIDATES, 1, ["what", "who", "when", "special"], ["taste", "likes", "apart", "wish"], [0.7], Evidence(),
        retries=1,
    )  # fmt: skip
    return LanguageModelProfiler(Echo(), loop, noun="echo")


def peak() -> float:
    """MiB that this process held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepare(folder: Path, entities: int) -> None:
    """Interactions and split, as earlier stages leave them."""
    data = interactions(entities // 2, entities // 2)
    kinds = ["", *(f"{WORDS[i % 16]} things" for i in range(data.num_items))]
    object.__setattr__(data.items, "text", {"categories": kinds})
    for name, value in (("interactions", data), ("split", LeaveOneOut()(data))):
        (folder / name).mkdir(parents=True)
        value.save(folder / name)


def play(folder: Path, stage: str) -> None:
    """One stage; prints seconds, and peak memory with the data alone and in all."""
    data = Interactions.load(folder / "interactions")
    split = Split.load(folder / "split")
    loaded, entities = peak(), data.num_users + data.num_items
    del data, split
    out, work = folder / stage, folder / "work" / stage / "key"
    out.mkdir()
    work.mkdir(parents=True)
    parts = {"profiler": profiler, "encoder": Hashed}
    parents = {name: folder / name for name in STAGES[stage].PARENTS}
    config = {"profiler": {}, "encoder": {}, "encoded": ["item", "user"]}
    began, cpu = time.monotonic(), time.process_time()
    STAGES[stage].run(Context(config, parents, out, work, lambda group: parts[group](), []))
    result = {
        "entities": entities, "stage": stage, "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu, "data_mib": loaded, "peak_mib": peak(),
    }  # fmt: skip
    print("RESULT " + json.dumps(result))


def measure(entities: int, within: str | None) -> list[dict[str, Any]]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    folder = Path(tempfile.mkdtemp(prefix=f"scale-{entities}-", dir=within))
    results = []
    try:
        for step in ("prepare", *STAGES):
            done = subprocess.run(
                [sys.executable, __file__, "--step", step, "--entities", str(entities), "--folder", str(folder)],
                stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **one},
            )  # fmt: skip
            results += [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            print(results[-1:], flush=True)
    finally:
        shutil.rmtree(folder)
    return results


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| entities | stage | CPU-seconds | ms per entity | peak MiB | of it interactions loaded |",
        "|---" * 6 + "|",
    ]
    for r in results:
        each = 1e3 * r["cpu_seconds"] / r["entities"]
        lines.append(
            f"| {r['entities']:,} | {r['stage']} | {r['cpu_seconds']:,.0f} | {each:.2f} | {r['peak_mib']:,.0f}"
            f" | {r['data_mib']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--folder", help="where the store of a size is made and removed (default: the system's)")
    parser.add_argument("--step", choices=["prepare", *STAGES], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(Path(options.folder), *options.entities)
    elif options.step:
        play(Path(options.folder), options.step)
    else:
        for entities in options.entities:
            record(measure(entities, options.folder))


def record(measured: list[dict[str, Any]]) -> None:
    """Into the results, in place of what they had of this size."""
    file = HERE / "result" / "profiles.json"
    others = json.loads(file.read_text()) if file.is_file() else []
    others = [r for r in others if r["entities"] != measured[0]["entities"]]
    results = sorted([*others, *measured], key=lambda r: r["entities"])
    text = f"Two CPU cores, shared with other work; one thread. K = {CANDIDATES}.\n\n{table(results)}\n"
    write_atomic(file, json.dumps(results, indent=1))
    write_atomic(HERE / "result" / "profiles.md", text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
