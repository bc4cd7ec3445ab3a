"""Kill -9 at random moments: the store that a restarted run leaves is that of a run which nobody killed.

    python experiments/scale/kills.py --kills 10

Forty people and thirty items through the closed loop, an engine that answers in batches after a short wait and notes
down every completion that it makes. Writes result/kills.json: how often it was killed, what was asked for, how much of
it twice (at most the batch in flight at each kill), and whether texts and store are the same.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from catalogue import interactions
from profiles import Echo

from pte.artifact import write_atomic
from pte.profiler.engine.record import Recorded
from pte.profiler.loop.closed_loop import Loop, run_loop, workload
from pte.profiler.prompt import Evidence
from pte.profiler.store.log import RecordLog
from pte.schema import Profiles, View

HERE = Path(__file__).resolve().parent
BATCH, WAIT = 16, 0.02  # completions in flight; seconds that they take


class Slow(Echo):
    """Notes down what is paid for before it answers."""

    def __init__(self, folder: Path) -> None:
        self.bill = folder / "bill.txt"

    def batches(self, queries):
        return [list(range(first, min(first + BATCH, len(queries)))) for first in range(0, len(queries), BATCH)]

    def complete(self, queries, keys):
        with self.bill.open("a") as file:
            file.write("".join(f"{key}\n" for key in keys))
        time.sleep(WAIT)
        return super().complete(queries, keys)


def write(folder: Path) -> None:
    """All profiles, into folder/profiles; the log in folder/log."""
    data = interactions(30, 40)
    view = View(data.user, data.item, data.num_users, data.items)
    loop = Loop(3, 3, ["what", "who"], ["taste", "wish"], [0.7], Evidence(), retries=1)
    out = Path(tempfile.mkdtemp(dir=folder))  # scratch, as the store gives it
    answer = Recorded(Slow(folder), RecordLog(folder / "log"), workload(loop, view), noun="slow")
    run_loop(loop, view, answer, out=out, portion=8)
    out.rename(folder / "profiles")


def start(folder: Path) -> subprocess.Popen:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen([sys.executable, __file__, "--write", str(folder)], start_new_session=True)


def store(folder: Path) -> pl.DataFrame:
    return pl.concat(map(pl.read_parquet, folder.glob("log/*/*.parquet"))).sort("key")


def measure(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """One run left alone, and one that is killed so many times."""
    moment = random.Random(seed)
    start(folder / "whole").wait()
    done = 0
    while done < kills:
        process = start(folder / "broken")
        bill = folder / "broken" / "bill.txt"
        before = bill.stat().st_size if bill.exists() else 0
        while process.poll() is None and (bill.stat().st_size if bill.exists() else 0) == before:
            time.sleep(0.002)  # until it asks for something new
        time.sleep(moment.uniform(0, 2 * WAIT))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            done += 1
        process.wait()
        if (folder / "broken" / "profiles").exists():
            break
    start(folder / "broken").wait() if not (folder / "broken" / "profiles").exists() else None
    bills = [(folder / name / "bill.txt").read_text().split() for name in ("whole", "broken")]
    whole, broken = (Profiles.load(folder / name / "profiles") for name in ("whole", "broken"))
    return {
        "kills": done, "generations": len(bills[0]), "asked_twice": len(bills[1]) - len(set(bills[1])),
        "asked_twice_at_most": done * BATCH, "same_store": store(folder / "whole").equals(store(folder / "broken")),
        "same_profiles": whole == broken,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "result" / "kills.json")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write)
        return
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(measure(Path(folder), options.kills, options.seed), indent=1)
    write_atomic(options.out, text + "\n")
    print(text)


if __name__ == "__main__":
    main()
