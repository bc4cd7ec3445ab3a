"""How many CPU-seconds a target and a ranked user cost: ours and the peers', in alternating rounds, one thread.

    python experiments/speed/run.py --interactions $PTE_DATA/Toys/interactions.csv.gz

Same rows (Toys, leave-one-out), d 64, 2 layers, 2 heads, inner 256, L 50, dropout .5, full cross-entropy. Writes
report.json and table.md beside this file: medians over the rounds, ratios within each round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from peers import python_of

from pte.artifact import write_atomic

HERE = Path(__file__).resolve().parent
SAME_STEP = 46  # sequences a step that hold some 256 targets of Toys
CONTENDERS = {  # name -> (script, environment, arguments)
    "RecBole 1.2.1 as shipped": ("peer_recbole.py", "recbole", ["--anomaly", "--evaluate"]),
    "RecBole 1.2.1 without anomaly detection": ("peer_recbole.py", "recbole", []),
    "RecTools 0.19": ("peer_rectools.py", "rectools", ["--evaluate"]),
    "ours fp32, 256 targets a step": ("ours.py", None, ["--products", "float32", "--sequences", str(SAME_STEP)]),
    "ours bf16, 256 targets a step": ("ours.py", None, ["--products", "bfloat16", "--sequences", str(SAME_STEP)]),
    "ours as shipped": ("ours.py", None, ["--evaluate"]),
}


def measure(name: str, interactions: Path, root: Path) -> dict[str, float]:
    script, environment, arguments = CONTENDERS[name]
    python = python_of(environment, root) if environment else Path(sys.executable)
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [python, HERE / script, "--interactions", interactions.resolve(), *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **one},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        sys.exit(f"{name} gave no result:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    result["ms_per_target"] = 1e3 * result["train_cpu_seconds"] / result["targets"]
    if "users" in result:
        result["ms_per_user"] = 1e3 * result["evaluate_cpu_seconds"] / result["users"]
    return result


def median_ratio(rounds: list[dict[str, dict[str, float]]], key: str, one: str, other: str) -> float:
    """Median over rounds of one's cost over the other's in the same round."""
    return statistics.median(r[one][key] / r[other][key] for r in rounds)


def table(rounds: list[dict[str, dict[str, float]]], names: list[str]) -> str:
    base = names[0]
    lines = ["| | ms per target | times faster | ms per ranked user | times faster |", "|---|---|---|---|---|"]
    for name in names:
        cells = []
        for key in ("ms_per_target", "ms_per_user"):
            if key in rounds[0][name]:
                value = statistics.median(r[name][key] for r in rounds)
                ratio = f"{median_ratio(rounds, key, base, name):.1f}" if key in rounds[0][base] else ""
                cells += [f"{value:.4f}", ratio]
            else:
                cells += ["", ""]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path("outputs/peers"))
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    options = parser.parse_args()
    rounds: list[dict[str, dict[str, float]]] = []
    for number in range(options.rounds):
        rounds.append({})
        for name in options.only:
            rounds[-1][name] = measure(name, options.interactions, options.peers.resolve())
            print(f"round {number + 1}: {name}: {rounds[-1][name]}", flush=True)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    told = f"CPU-seconds, one thread, medians of {options.rounds} alternating rounds; {cpu}."
    text = f"{told}\n\n{table(rounds, options.only)}\n"
    write_atomic(HERE / "table.md", text)
    write_atomic(HERE / "report.json", json.dumps({"cpu": cpu, "rounds": rounds}, indent=1))
    print(text)


if __name__ == "__main__":
    main()
