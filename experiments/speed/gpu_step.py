"""Whole training steps on a GPU: which precision pays, and whether compiling does.

    python experiments/speed/gpu_step.py --interactions $PTE_DATA/Toys/interactions.csv.gz

Loss, gradients and optimizer's step of packed batches that lie on the device, in alternating rounds after a warm-up;
wall-clock milliseconds with the device waited for at both ends, medians over the rounds. A step of the shipped size is
mostly waiting for Python to start the next kernel, so a larger one stands beside it. Writes gpu_step.md and
gpu_step.json (every round's numbers) into `--out`, by default beside this file.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from product import Product, assemble

from pte.artifact import write_atomic

RESULT = Path(__file__).resolve().parent / "result"
WIDE = ("representation.width=256", "backbone.inner=1024", "backbone.layers=4", "backbone.heads=4")
SHAPES: dict[str, tuple[int | None, tuple[str, ...]]] = {  # sequences a step, overrides
    "SASRec, d 64, 256 histories": (None, ("backbone=sasrec",)),
    "SASRec, d 256, 4 layers, 1,024 histories": (1024, ("backbone=sasrec", *WIDE)),
    "DreamRec, d 64, 128 histories": (None, ("backbone=dreamrec",)),
}


@dataclass(frozen=True)
class Way:
    """products: trainer.products; autocast: trainer.precision=bf16-mixed; compiled: trainer.compile."""

    products: str
    autocast: bool = False
    compiled: bool = False


WAYS = {
    "fp32": Way("float32"),
    "as shipped": Way("bfloat16"),
    "as shipped, compiled": Way("bfloat16", compiled=True),
    "bf16-mixed": Way("bfloat16", autocast=True),
    "bf16-mixed, compiled": Way("bfloat16", autocast=True, compiled=True),
}
MATMUL = {"bfloat16": "medium", "float32": "highest"}  # as pte/train/recommender.py sets it


def prepare(interactions: Path, shape: str, way: Way, device: str) -> Callable[[int], float]:
    """-> a function that trains so many steps and returns their targets."""
    sequences, overrides = SHAPES[shape]
    ours: Product = assemble(interactions, *overrides, products=way.products, sequences=sequences)
    ours.backbone.to(device).train()
    if way.compiled:
        ours.backbone.encoder.compile(dynamic=True)
    batches: Iterator[Any] = cycle([batch.to(torch.device(device)) for batch in islice(ours.steps(), 64)])

    def train(steps: int) -> float:
        torch.set_float32_matmul_precision(MATMUL[way.products])
        targets = 0.0
        for batch in islice(batches, steps):
            ours.optimizer.zero_grad()
            with torch.autocast(device, dtype=torch.bfloat16, enabled=way.autocast):
                loss = ours.backbone.loss(batch)["loss"]
            loss.backward()
            ours.optimizer.step()
            targets += batch.total
        return targets

    return train


def clock(train: Callable[[int], float], steps: int) -> dict[str, float]:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    targets = train(steps)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated() / 2**20
    return {"ms": 1000 * seconds / steps, "targets_per_second": targets / seconds, "peak_mib": peak}


def markdown(caption: str, rows: list[dict[str, Any]]) -> str:
    lines = [caption, "", "| model | way | ms a step | targets/s |", "| --- | --- | ---: | ---: |"]
    for row in rows:
        spent, rate = (statistics.median(one[key] for one in row["rounds"]) for key in ("ms", "targets_per_second"))
        lines.append(f"| {row['shape']} | {row['way']} | {spent:.2f} | {rate:,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("gpu_step.py measures on a CUDA GPU, and torch finds none here")
    rows = []
    for shape in SHAPES:
        trains = {}
        for name, way in WAYS.items():
            if way.compiled and shape.startswith("DreamRec"):
                continue
            trains[name] = prepare(options.interactions, shape, way, "cuda")
            trains[name](options.steps)  # warm-up: all shapes of the rounds are met, and compiled for
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in trains}
        for _ in range(options.rounds):
            for name, train in trains.items():
                rounds[name].append(clock(train, options.steps))
        rows += [{"shape": shape, "way": name, "rounds": rounds[name]} for name in trains]
        print(markdown(shape, rows[-len(trains) :]), flush=True)
    machine = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    caption = f"Medians of {options.rounds} alternating rounds; {machine['gpu']}, torch {machine['torch']}."
    text = markdown(caption, rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomic(options.out / "gpu_step.md", text)
    write_atomic(options.out / "gpu_step.json", json.dumps(machine | {"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
