"""CPU-seconds a user of a run's fused experts and of its reader alone: python experiments/speed/fused_scoring.py RUN

Test cases of the run, scored in the batches that `stage=metrics` makes, by the reader and by the whole in turns.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path

import torch

from pte.artifact import Stored
from pte.engine.inference.recommend import RunModel
from pte.schema import Interactions, Split
from pte.train.loader import EvaluationLoader

TURNS = 7


def spent(backbone: torch.nn.Module, batches: list) -> float:
    """CPU-seconds of all batches."""
    began = time.process_time()
    for batch in batches:
        for _ in backbone.score_parts(batch.history):
            pass
    return time.process_time() - began


@torch.inference_mode()
def main() -> None:
    """Print microseconds a user of both, and the median of the turns' ratios."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--batches", type=int, default=12)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    stored = Stored(options.run)
    data, split = Interactions.load(stored.path("interactions")), Split.load(stored.path("split"))
    whole = RunModel(stored, data).backbone
    loader = EvaluationLoader(data, split.test, row_length=whole.length)
    every = max(1, len(loader) // options.batches)  # short and long histories alike
    batches = list(itertools.islice(loader, 0, None, every))
    users = sum(len(batch.target) for batch in batches)
    turns = [(spent(whole.reader, batches), spent(whole, batches)) for _ in range(TURNS + 1)][1:]
    for name, values in zip(("reader", "fused"), zip(*turns, strict=True), strict=True):
        print(f"{name:<7} {statistics.median(values) / users * 1e6:8.1f} us a user")
    print(f"ratio   {statistics.median(whole / reader for reader, whole in turns):8.2f} (users: {users:,})")


if __name__ == "__main__":
    main()
