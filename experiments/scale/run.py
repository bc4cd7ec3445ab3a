"""What a training target, a ranked user and the memory cost as the catalogue grows from 10^4 to 10^6 items.

    python experiments/scale/run.py

Synthetic histories of 20,000 users (catalogue.py), SASRec as shipped with a free vector per item (d 64), one thread.
Writes report.json, table.md and scale.png in `result`: medians over alternating rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import WAYS

from pte.artifact import write_atomic

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result"
SIZES = (10**4, 10**5, 10**6)
FIGURES = {  # key -> title of its panel
    "ms_per_target": "training: CPU-ms per target",
    "train_peak_mib": "training: peak memory, MiB",
    "ms_per_user": "evaluation: CPU-ms per ranked user",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito's, told apart by everyone
Rounds = list[list[dict[str, Any]]]


def measure(items: int, way: str) -> dict[str, Any]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, HERE / "measure.py", "--items", str(items), "--way", way],
        capture_output=True, text=True, check=False, env={**os.environ, **one},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        sys.exit(f"{way} at {items:,} items gave no result:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(lines[-1].removeprefix("RESULT "))


def median(rounds: Rounds, items: int, way: str, key: str) -> float:
    return statistics.median(m[key] for r in rounds for m in r if m["items"] == items and m["way"] == way)


def table(rounds: Rounds) -> str:
    sizes = sorted({m["items"] for m in rounds[0]})
    titles = [f"{title}, {items:,} items" for title in ("ms per target", "peak MiB", "ms per user") for items in sizes]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (1 + len(titles)) + "|"]
    for way in dict.fromkeys(m["way"] for m in rounds[0]):
        cells = []
        for key, form in zip(FIGURES, (".3f", ".0f", ".2f"), strict=True):
            cells += [f"{median(rounds, items, way, key):{form}}" for items in sizes]
        lines.append("| " + " | ".join([way, *cells]) + " |")
    return "\n".join(lines)


def chart(rounds: Rounds, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = sorted({m["items"] for m in rounds[0]})
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for panel, (key, title) in zip(panels, FIGURES.items(), strict=True):
        for way, colour, mark in zip(WAYS, COLOURS, "os^", strict=True):
            panel.plot(sizes, [median(rounds, n, way, key) for n in sizes], color=colour, marker=mark, label=way)
        panel.set(xscale="log", xlabel="items", title=title)
        if key == "train_peak_mib":
            panel.set_ylim(0)
        else:
            panel.set_yscale("log")
        panel.grid(True, color="#dddddd")
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    rounds: Rounds = []
    for number in range(options.rounds):
        rounds.append([])
        for items in options.items:
            for way in WAYS:
                rounds[-1].append(measure(items, way))
                print(f"round {number + 1}: {rounds[-1][-1]}", flush=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB"
    caption = f"CPU-time of one thread, medians of {options.rounds} alternating rounds; {machine}, shared."
    text = f"{caption}\n\n{table(rounds)}\n"
    write_atomic(RESULT / "table.md", text)
    write_atomic(RESULT / "report.json", json.dumps({"machine": machine, "rounds": rounds}, indent=1))
    chart(rounds, RESULT / "scale.png")
    print(text)


if __name__ == "__main__":
    main()
