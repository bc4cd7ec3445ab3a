"""What the catalogue cross-entropy costs on a GPU, forward and backward: the plain one, torch's, ours and Liger's.

    python experiments/speed/gpu.py

Milliseconds between CUDA events over `--steps` calls, in alternating rounds after a warm-up; medians over the rounds.
Memory is the peak of one call above what its inputs take. Before anything is timed, every way has to give the plain
one's loss. Writes gpu.md and gpu.json (every round's numbers) into `--out`, by default beside this file.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pte.artifact import write_atomic
from pte.nn.kernel.cross_entropy import catalogue_cross_entropy

RESULT = Path(__file__).resolve().parent / "result"
LIGER = version("liger-kernel") if find_spec("liger_kernel") else None
SHAPES = {"Toys": (770, 11_924, 64), "100,000 items": (770, 100_000, 128)}  # targets of a step as shipped, N, D
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}  # of a loss, relative
Way = Callable[[Tensor, Tensor, Tensor, torch.dtype], Tensor]  # states, table, targets, dtype of the products -> loss


def plain(hidden: Tensor, table: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    """Logits that are kept, as the textbook has it; bf16 by autocast."""
    with torch.autocast(hidden.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        return F.cross_entropy(hidden @ table[1:].T, target - 1)


def torchs(options: Any, hidden: Tensor, table: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    """torch's chunked one; its bf16 gradients are rounded to bf16."""
    return F.linear_cross_entropy(hidden.to(dtype), table[1:].to(dtype), target - 1, options=options)


def ours(kernel: str, hidden: Tensor, table: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    return catalogue_cross_entropy(hidden, table, target, total=len(target), product_dtype=dtype, kernel=kernel)


def ways() -> dict[str, Way]:
    """All that this torch and the installed packages have, the plain one first."""
    found: dict[str, Way] = {"F.cross_entropy": plain}
    if options := getattr(torch.nn, "LinearCrossEntropyOptions", None):
        found["F.linear_cross_entropy, its own chunks"] = partial(torchs, options())
        found["F.linear_cross_entropy, one chunk"] = partial(torchs, options(chunking_method=None))
    found["kernel=chunked"] = partial(ours, "chunked")
    if LIGER:
        found["kernel=liger"] = partial(ours, "liger")
    return found


def problem(targets: int, num_items: int, width: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """States, table and targets with logits of standard deviation one."""
    generator = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(targets, width, generator=generator, device=device)
    table = torch.randn(num_items + 1, width, generator=generator, device=device) / width**0.5
    target = torch.randint(1, num_items + 1, (targets,), generator=generator, device=device)
    return hidden.requires_grad_(), table.requires_grad_(), target


def call(way: Way, given: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype) -> Tensor:
    """Forward and backward; the loss stays on the device, for reading it waits for all of the work."""
    loss = way(*given, dtype)
    torch.autograd.grad(loss, given[:2])
    return loss.detach()


def milliseconds(step: Callable[[], object], steps: int) -> float:
    """Of one call, the device's own time over `steps` calls in a row."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(steps):
        step()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / steps


def peak(step: Callable[[], object]) -> int:
    """Bytes that a call takes above what is there already."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def measure(shape: str, products: str, rounds: int, steps: int) -> list[dict[str, Any]]:
    """One row for each way."""
    given = problem(*SHAPES[shape], device="cuda")
    calls = {name: partial(call, way, given, DTYPES[products]) for name, way in ways().items()}
    losses = {name: step().item() for name, step in calls.items()}
    expected = next(iter(losses.values()))
    for name, loss in losses.items():
        if abs(loss - expected) > TOLERANCE[products] * expected:
            raise SystemExit(f"{name}, {shape}, {products}: the loss is {loss}, the plain one's {expected}")
    for step in calls.values():
        milliseconds(step, steps)  # warm-up
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, step in calls.items():
            spent[name].append(milliseconds(step, steps))
    common = {"shape": shape, "products": products}
    return [common | {"way": name, "milliseconds": spent[name], "peak_bytes": peak(calls[name])} for name in calls]


def markdown(caption: str, rows: list[dict[str, Any]]) -> str:
    lines = [caption, "", "| catalogue | products | way | ms a step | peak MiB |", "| --- | --- | --- | ---: | ---: |"]
    for row in rows:
        spent, memory = statistics.median(row["milliseconds"]), row["peak_bytes"] / 2**20
        lines.append(f"| {row['shape']} | {row['products']} | {row['way']} | {spent:.3f} | {memory:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=50, help="calls between two events")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("gpu.py measures on a CUDA GPU, and torch finds none here")
    torch.set_float32_matmul_precision("highest")
    rows = []
    for shape in SHAPES:
        for products in DTYPES:
            rows += measure(shape, products, options.rounds, options.steps)
    machine = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "liger-kernel": LIGER}
    on = ", ".join([machine["gpu"], *(f"{name} {machine[name]}" for name in ("torch", "liger-kernel"))])
    caption = f"Forward and backward, medians of {options.rounds} alternating rounds; {on}."
    text = markdown(caption, rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomic(options.out / "gpu.md", text)
    write_atomic(options.out / "gpu.json", json.dumps(machine | {"rows": rows}, indent=1))
    print(text)


if __name__ == "__main__":
    main()
