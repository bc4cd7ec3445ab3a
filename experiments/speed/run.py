"""What a trained target, a ranked user and a sampled vector cost: ours, the peers' and the textbook's, side by side.

    python experiments/speed/run.py --interactions $PTE_DATA/Toys/interactions.csv.gz

CPU-seconds of one thread in alternating rounds. Same rows (Toys, leave-one-out) and sizes. SASRec: d 64, 2 layers,
2 heads, inner 256, L 50, dropout .5, full cross-entropy. DreamRec: d 64, 1 layer, 1 head, T = 500, linear betas. Writes
report.json, table.md and speed.png in `result`: medians over the rounds, ratios within each round. README.md says
what each line does.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from chart import bars
from peers import python_of

from pte.artifact import write_atomic

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result"
SAME_STEP = ("--sequences", "46")  # sequences a step that hold some 256 targets of Toys
FLOAT32, DREAMREC = ("--products", "float32"), ("--backbone", "dreamrec")
MACHINE = "machine"
CONTENDERS = {  # name -> (script, environment, arguments)
    "RecBole 1.2.1 as shipped": ("peer_recbole.py", "recbole", ("--anomaly", "--evaluate")),
    "RecBole 1.2.1 without anomaly detection": ("peer_recbole.py", "recbole", ()),
    "RecTools 0.19": ("peer_rectools.py", "rectools", ("--evaluate",)),
    "plain SASRec, one target a sample": ("plain.py", None, ("--backbone", "sasrec")),
    "plain SASRec, all positions": (
        "plain.py", None, ("--backbone", "sasrec", "--every-place", "--batch", "128", "--steps", "15"),
    ),
    "ours fp32, 256 targets a step": ("ours.py", None, (*FLOAT32, *SAME_STEP)),
    "ours bf16, 256 targets a step": ("ours.py", None, SAME_STEP),
    "ours fp32": ("ours.py", None, FLOAT32),
    "ours as shipped": ("ours.py", None, ("--evaluate",)),
    "plain DreamRec, L 10": ("plain.py", None, (*DREAMREC, "--length", "10", "--steps", "60")),
    "ours DreamRec, L 10": ("ours.py", None, (*DREAMREC, "--length", "10", "--steps", "120")),
    "plain DreamRec, L 50": ("plain.py", None, (*DREAMREC, "--steps", "30")),
    "ours DreamRec, L 50": ("ours.py", None, (*DREAMREC, "--steps", "120")),
    "plain loop of 500 steps": ("sampling.py", None, ("--sampler", "plain", "--users", "2048")),
    "ours, folded": ("sampling.py", None, ("--sampler", "exact", "--check")),
    MACHINE: ("roofline.py", None, ()),
}  # fmt: skip
SASREC = [name for name in CONTENDERS if "DreamRec" not in name][:9]
GROUPS = {  # title -> (figure, contenders; the first is what the others are compared with)
    "SASRec, ms per trained target": ("ms_per_target", SASREC),
    "Ranking, ms per user": (
        "ms_per_user", ["RecBole 1.2.1 as shipped", "RecTools 0.19", "ours as shipped"],
    ),
    "DreamRec at L 10, ms per trained target": ("ms_per_target", ["plain DreamRec, L 10", "ours DreamRec, L 10"]),
    "DreamRec at L 50, ms per trained target": ("ms_per_target", ["plain DreamRec, L 50", "ours DreamRec, L 50"]),
    "DreamRec's sampling, ms per user": ("ms_per_sample", ["plain loop of 500 steps", "ours, folded"]),
}  # fmt: skip
Rounds = list[dict[str, dict]]


def measure(name: str, interactions: Path, root: Path) -> dict:
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
    for figure, spent, count in (
        ("ms_per_target", "train_cpu_seconds", "targets"),
        ("ms_per_user", "evaluate_cpu_seconds", "users"),
        ("ms_per_sample", "sample_cpu_seconds", "users"),
    ):
        if spent in result:
            result[figure] = 1e3 * result[spent] / result[count]
    return result


def median_ratio(rounds: Rounds, key: str, one: str, other: str) -> float:
    """Median over rounds of one's cost over the other's in the same round."""
    return statistics.median(r[one][key] / r[other][key] for r in rounds)


def ratios(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Group -> contender -> times cheaper than the group's first; of what was run."""
    found = {}
    for title, (key, names) in GROUPS.items():
        present = [name for name in names if name in rounds[0]]
        if len(present) > 1:
            found[title] = {name: median_ratio(rounds, key, present[0], name) for name in present}
    return found


def costs(rounds: Rounds) -> list[str]:
    lines = []
    for title, group in ratios(rounds).items():
        key, base = GROUPS[title][0], next(iter(group))
        lines += [f"**{title}**", "", f"| | ms | times cheaper than {base} |", "|---|---|---|"]
        for name, ratio in group.items():
            value = statistics.median(r[name][key] for r in rounds)
            lines.append(f"| {name} | {value:.4f} | {ratio:.1f} |")
        lines.append("")
    return lines


def roofline(rounds: Rounds) -> list[str]:
    """The arithmetic a step needs, done per CPU-second, as a share of the products' peak in the same round."""
    if MACHINE not in rounds[0]:
        return []
    lines = [
        "**SASRec against the machine's peak**: useful operations (no padding) of whole training steps", "",
        "| | 10^9 a second | share of fp32 peak | share of bf16 peak |", "|---|---|---|---|",
    ]  # fmt: skip

    for label, speed in (
        ("peak, fp32 products", "peak_float32"), ("peak, bf16 products", "peak_bfloat16"),
        ("ours, fp32 products", "steps_float32"), ("ours as shipped, bf16 products", "steps_bfloat16"),
    ):  # fmt: skip
        found = [r[MACHINE] for r in rounds]
        cells = [f"{statistics.median(f[speed] for f in found) / 1e9:.0f}"]
        for peak in ("peak_float32", "peak_bfloat16"):
            cells.append(f"{statistics.median(f[speed] / f[peak] for f in found):.0%}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def profile(rounds: Rounds) -> list[str]:
    if MACHINE not in rounds[0]:
        return []
    found = [r[MACHINE]["profile"] for r in rounds]
    lines = ["**Where a step's time goes** (as shipped, share of operators' own time)", ""]
    lines += ["| | " + " | ".join(found[0]) + " |", "|---|" + "---|" * len(found[0])]
    for kind in found[0]["sasrec"]:
        cells = (f"{statistics.median(f[model][kind] for f in found):.0%}" for model in found[0])
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def agreement(rounds: Rounds) -> list[str]:
    if "ours, folded" not in rounds[0]:
        return []
    found = [r["ours, folded"]["agreement"] for r in rounds]
    worst = {name: max(f[name] for f in found) for name in found[0]}
    return [
        f"The folded chain and the loop, one denoiser: noise-free chains differ by {worst['chain']:.1e} of their size;"
        f" of 4,096 samples each, a coordinate's mean by at most {worst['mean']:.1f} standard errors and the covariance"
        f" by {worst['covariance']:.0%} of its norm (two folded samples: {worst['covariance_by_chance']:.0%}).",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path("outputs/peers"))
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    rounds: Rounds = []
    for number in range(options.rounds):
        rounds.append({})
        for name in options.only:
            rounds[-1][name] = measure(name, options.interactions, options.peers.resolve())
            print(f"round {number + 1}: {name}: {rounds[-1][name]}", flush=True)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    caption = f"CPU-seconds, one thread, medians of {options.rounds} alternating rounds; {cpu}."
    body = [*costs(rounds), *agreement(rounds), *roofline(rounds), *profile(rounds)]
    text = "\n".join([caption, "", *body]).rstrip() + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomic(options.out / "table.md", text)
    write_atomic(options.out / "report.json", json.dumps({"cpu": cpu, "rounds": rounds}, indent=1))
    if ratios(rounds):
        bars(ratios(rounds), caption, options.out / "speed.png")
    print(text)


if __name__ == "__main__":
    main()
