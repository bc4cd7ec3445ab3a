"""Our model on the same rows: CPU-seconds of the product's own loaders, model and optimizer, one thread."""

import argparse
import time
from pathlib import Path

import torch
from product import PRECISION, assemble, result

from pte.metric.rank import ranks
from pte.nn.kernel.allocation import keep_freed_memory
from pte.train.loader import EvaluationLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--backbone", choices=("sasrec", "dreamrec"), default="sasrec")
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--products", choices=tuple(PRECISION), default="bfloat16")
    parser.add_argument("--sequences", type=int, default=None, help="sequences a step; default: as shipped")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the training stage does
    ours = assemble(
        options.interactions, f"backbone={options.backbone}", f"backbone.length={options.length}",
        products=options.products, sequences=options.sequences,
    )  # fmt: skip
    torch.set_float32_matmul_precision(PRECISION[options.products])
    ours.backbone.train()
    steps = ours.steps()
    for _ in range(5):  # warm-up
        ours.train(next(steps))
    began = time.process_time()
    targets = sum(ours.train(next(steps)) for _ in range(options.steps))
    measured = {"targets": targets, "train_cpu_seconds": time.process_time() - began}
    if options.evaluate:
        torch.set_float32_matmul_precision("highest")
        ours.backbone.eval()
        questions = EvaluationLoader(ours.interactions, ours.split.valid, row_length=ours.backbone.length)
        began = time.process_time()
        with torch.inference_mode():
            for question in questions:
                for part, scores in question.scored(ours.backbone.score_parts(question.history)):
                    ranks(scores, part.target, part.exclusion)
        measured |= {"users": len(ours.split.valid.target), "evaluate_cpu_seconds": time.process_time() - began}
    result(sequences=ours.loader.batch_size, **measured)


if __name__ == "__main__":
    main()
