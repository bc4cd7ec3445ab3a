"""What the fused default costs as the catalogue grows from 10^4 to 10^6 items: memory, fitting, scoring. One thread.

    python experiments/scale/fused.py

Synthetic histories (catalogue.py) and random text vectors 384 wide; the reader as shipped, untrained, for weights do
not change what it costs to read. Writes fused.json and fused.md in `result`.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from catalogue import interactions
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.artifact import write_atomic
from pte.engine.build import builder
from pte.engine.provenance import peak_memory_mib
from pte.paths import CONF_DIR
from pte.protocol.withhold import holdout_cases
from pte.train import counting, fusion
from pte.train.loader import EvaluationLoader

RESULT = Path(__file__).resolve().parent / "result"
SIZES = (10**4, 10**5, 10**6)
WIDTH, USERS = 384, 20_000
SCORED = 2 * 10**8  # scores to time: 20,000 users of 10^4 items, 200 of 10^6


def cpu_seconds(batches, score) -> float:
    """Of scoring all batches."""
    began = time.process_time()
    for batch in batches:
        for _ in score(batch.history):
            pass
    return time.process_time() - began


@torch.inference_mode()
def measure(num_items: int) -> dict[str, float]:
    """One catalogue, in this process."""
    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", ["backbone=fused", "representation=llm_only"]), resolve=True)
    build, data = builder(config), interactions(num_items, USERS)
    split = build("protocol")(data)
    vectors = torch.randn(num_items + 1, WIDTH, generator=torch.Generator().manual_seed(0))
    base, began = peak_memory_mib(), time.process_time()
    representation = build("representation", num_items=num_items, vectors=vectors)
    backbone = build("backbone", representation=representation, num_items=num_items)
    backbone.attach(vectors, None)
    backbone.eval()
    backbone.fit(*counting.sequences(data, fusion.reader_split(data, split)))
    built, began = time.process_time() - began, time.process_time()
    cases = EvaluationLoader(data, holdout_cases(data, split), row_length=backbone.length)
    facts = backbone.fit_gates((batch.history, batch.target, batch.exclusion) for batch in cases)
    fitted = time.process_time() - began
    every = EvaluationLoader(data, split.test, row_length=backbone.length)
    batches = list(itertools.islice(every, max(1, SCORED // num_items // every.batch_size)))
    users = sum(len(batch.target) for batch in batches)
    reader, fused = (cpu_seconds(batches, each.score_parts) / users for each in (backbone.reader, backbone))
    return {
        "items": num_items, "vectors_mib": vectors.nbytes / 2**20, "before_mib": base, "peak_mib": peak_memory_mib(),
        "build_seconds": built, "gate_seconds": fitted, "gate_rows": facts["gate_rows"], "users": users,
        "reader_ms": 1e3 * reader, "fused_ms": 1e3 * fused,
    }  # fmt: skip


def table(results: list[dict[str, float]]) -> str:
    lines = [
        "| items | vectors, MiB | peak memory, MiB | whitening and counting, CPU-s | gates, CPU-s (rows) |"
        " scoring: reader, CPU-ms a user | fused |",
        "|---" * 7 + "|",
    ]
    for m in results:
        lines.append(
            f"| {m['items']:,} | {m['vectors_mib']:.0f} | {m['peak_mib']:.0f} | {m['build_seconds']:.1f} |"
            f" {m['gate_seconds']:.1f} ({m['gate_rows']:,.0f}) | {m['reader_ms']:.2f} | {m['fused_ms']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Each size in a process of its own, whose peak is its own."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--items", type=int, help="one size, in this process")
    arguments.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = arguments.parse_args()
    if options.items:
        print("RESULT " + json.dumps(measure(options.items)))
        return
    results = []
    for size in options.sizes:
        command = [sys.executable, __file__, "--items", str(size)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            sys.exit(f"{size:,} items gave no result:\n{done.stderr[-4000:]}")
        results.append(json.loads(lines[-1].removeprefix("RESULT ")))
        print(table(results[-1:]).splitlines()[-1], flush=True)
    RESULT.mkdir(exist_ok=True)
    write_atomic(RESULT / "fused.json", json.dumps(results, indent=1) + "\n")
    write_atomic(RESULT / "fused.md", table(results))


if __name__ == "__main__":
    main()
