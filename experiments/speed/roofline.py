"""What one thread can do, what our steps do of it, and where their time goes: GEMM peaks, steps, a profile by kind.

Peaks and steps take turns within seconds, since what a core can do changes by the minute on a shared machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from arithmetic import training
from product import PRECISION, assemble, result
from torch.profiler import ProfilerActivity, profile

from pte.nn.kernel.allocation import keep_freed_memory

TRIES, STEPS = 7, 10  # turns a round, training steps a turn
SHAPES = ((512, 512, 512), (1024, 1024, 1024), (512, 2048, 512))  # m, n, k: well-shaped, in and out of the L2 cache
KINDS = {  # the first kind one of whose words stands in an operation's name
    "products": ("mm", "linear", "matmul"),
    "softmax": ("softmax", "exp_"),
    "optimizer": ("adam", "zero_grad", "Optimizer"),
    "dropout draws": ("random_", "where", "aten::lt"),
    "normalisation, GELU": ("layer_norm", "gelu"),
    "look-ups": ("embedding", "index", "gather", "nonzero"),
    "rounding, copies": ("copy_", "_to_copy", "fill_", "zero", "empty", "cat", "clone", "contiguous"),
    "sums, products by element": ("add", "mul", "sub", "div", "sum", "neg", "log", "clamp"),
}


def peak(dtype: torch.dtype, seconds: float = 0.15) -> float:
    """Operations per CPU-second of the best shape."""
    best = 0.0
    for m, n, k in SHAPES:
        a, b, out = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype), torch.empty(m, n, dtype=dtype)
        torch.mm(a, b, out=out)
        count, began = 0, time.process_time()
        while time.process_time() - began < seconds:
            torch.mm(a, b, out=out)
            count += 1
        best = max(best, 2 * m * n * k * count / (time.process_time() - began))
    return best


def stepping(interactions: Path, products: str) -> Callable[[], float]:
    """A function that trains SASRec as shipped for some steps: useful operations per CPU-second, loader included."""
    ours = assemble(interactions, "backbone=sasrec", products=products)
    ours.backbone.train()
    batches = ours.steps()
    sizes = {"inner": ours.knobs["inner"], "layers": ours.knobs["layers"]}
    sizes |= {"width": ours.backbone.representation.width, "num_items": ours.interactions.num_items}

    def turn() -> float:
        torch.set_float32_matmul_precision(PRECISION[products])
        began = time.process_time()
        seen = [next(batches) for _ in range(STEPS)]
        for batch in seen:
            ours.train(batch)
        spent = time.process_time() - began
        return sum(training(b.segment, b.position, int(b.total), **sizes) for b in seen) / spent

    turn()  # warm-up
    return turn


def speeds(interactions: Path) -> dict[str, float]:
    """Operations per CPU-second, medians over turns: what products reach alone, what whole steps do."""
    keep_freed_memory()  # as the training stage does
    steps = {products: stepping(interactions, products) for products in PRECISION}
    found: dict[str, list[float]] = {}
    for _ in range(TRIES):
        for products, turn in steps.items():
            found.setdefault(f"steps_{products}", []).append(turn())
            torch.set_float32_matmul_precision("highest")
            found.setdefault(f"peak_{products}", []).append(peak(getattr(torch, products)))
    return {name: statistics.median(values) for name, values in found.items()}


def kind(name: str) -> str:
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def shares(interactions: Path, backbone: str, steps: int) -> dict[str, float]:
    """Share of each kind of work in the self time of our steps as shipped, the loader included."""
    ours = assemble(interactions, f"backbone={backbone}", products="bfloat16")
    torch.set_float32_matmul_precision(PRECISION["bfloat16"])
    ours.backbone.train()
    batches = ours.steps()
    for _ in range(5):
        ours.train(next(batches))
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(steps):
            ours.train(next(batches))
    spent: dict[str, float] = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in recorded.key_averages():
        spent[kind(event.key)] += event.self_cpu_time_total
    whole = sum(spent.values())
    return {name: value / whole for name, value in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result(
        **speeds(options.interactions),
        profile={name: shares(options.interactions, name, options.steps) for name in ("sasrec", "dreamrec")},
    )


if __name__ == "__main__":
    main()
