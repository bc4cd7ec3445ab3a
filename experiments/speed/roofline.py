"""What one thread can do, and where our training step's time goes: GEMM peaks and a profile by kind of work."""

import argparse
import time
from pathlib import Path

import torch
from product import PRECISION, assemble, result
from torch.profiler import ProfilerActivity, profile

from pte.lit.memory import keep_freed_memory

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


def peak(dtype: torch.dtype, seconds: float = 0.25, tries: int = 4) -> float:
    """Operations per CPU-second of the best shape and try."""
    best = 0.0
    for m, n, k in SHAPES:
        a, b, out = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype), torch.empty(m, n, dtype=dtype)
        torch.mm(a, b, out=out)
        for _ in range(tries):
            count, began = 0, time.process_time()
            while time.process_time() - began < seconds:
                torch.mm(a, b, out=out)
                count += 1
            best = max(best, 2 * m * n * k * count / (time.process_time() - began))
    return best


def kind(name: str) -> str:
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def shares(interactions: Path, backbone: str, steps: int) -> dict[str, float]:
    """Share of each kind of work in the self time of our steps as shipped, the loader included."""
    keep_freed_memory()  # as the training stage does
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
    torch.set_float32_matmul_precision("highest")
    peaks = {"peak_float32": peak(torch.float32), "peak_bfloat16": peak(torch.bfloat16)}
    result(
        **peaks, profile={name: shares(options.interactions, name, options.steps) for name in ("sasrec", "dreamrec")}
    )


if __name__ == "__main__":
    main()
