"""Validation NDCG@10 against CPU-seconds of training, one thread: SASRec `id` on Toys by pte and by the textbook.

    python experiments/speed/quality.py train --interactions $PTE_DATA/Toys/interactions.csv.gz --way ours
    python experiments/speed/quality.py train ... --way plain          # one padded sample a target, 256 a step
    python experiments/speed/quality.py train ... --way plain_places   # all positions of 128 padded histories a step
    python experiments/speed/quality.py draw

Same model, loss, dropout, rows and evaluation (full ranking, seen items masked). Ours trains as shipped: its batch,
its rate that rises and falls, its number of epochs; the textbook has S3-Rec's constant 1e-3. After each epoch a line
goes to quality/<way>-<seed>.jsonl and the state beside it, so that a stopped run goes on. Only training is on the
clock. `draw` writes quality.png and quality.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from plain import SASRec, samples
from product import PRECISION, Product, assemble

from pte.artifact import write_atomic
from pte.metric.rank import ranks
from pte.metric.ranking import ndcg
from pte.nn.kernel.allocation import keep_freed_memory
from pte.train.learning_rate import factor
from pte.train.loader import EvaluationLoader, step_seed

RESULT = Path(__file__).resolve().parent / "result"
WAYS = {
    "ours": "pte",
    "plain_places": "plain, padded, all positions",
    "plain": "plain, padded, one target a sample",
}


class Ours:
    """The product's steps and learning rates."""

    def __init__(self, product: Product, seed: int) -> None:
        keep_freed_memory()  # as the training stage does
        self.product, self.seed, self.fit = product, seed, product.knobs["fit"]
        self.model, self.optimizer = product.backbone, product.optimizer

    def epoch(self, number: int) -> None:
        torch.set_float32_matmul_precision(PRECISION["bfloat16"])  # as shipped
        self.product.loader.set_epoch(number)
        a_fit = {name: self.fit[name] for name in ("warmup", "decay")}
        a_fit["steps"] = self.fit["max_epochs"] * len(self.product.loader)
        for step, batch in enumerate(self.product.loader):
            torch.manual_seed(step_seed(self.seed, number, step, 0))
            for group in self.optimizer.param_groups:
                group["lr"] = self.fit["lr"] * factor(number * len(self.product.loader) + step, **a_fit)
            self.product.train(batch)

    def score(self, question) -> torch.Tensor:
        return self.model.score(question.history)


class Plain:
    """The textbook's."""

    def __init__(self, product: Product, seed: int, every_place: bool) -> None:
        torch.manual_seed(seed)
        self.seed, self.batch = seed, 128 if every_place else 256
        loader = product.loader
        self.rows = samples(loader.item, loader.begin, loader.length, loader.row_length, every_place)
        self.model = SASRec(num_items=product.interactions.num_items, length=loader.row_length)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def epoch(self, number: int) -> None:
        torch.set_float32_matmul_precision(PRECISION["float32"])
        torch.manual_seed(step_seed(self.seed, number, 0, 0))
        for batch in self.rows.batches(self.batch, torch.Generator().manual_seed(step_seed(self.seed, number, 1, 0))):
            self.optimizer.zero_grad()
            self.model.loss(*batch).backward()
            self.optimizer.step()

    def score(self, question) -> torch.Tensor:
        return self.model.score(question.history.item, question.history.length)


@torch.inference_mode()
def quality(score: Callable, product: Product) -> float:
    """Masked NDCG@10 of validation; fp32 products."""
    torch.set_float32_matmul_precision("highest")
    length = product.loader.row_length
    questions = EvaluationLoader(product.interactions, product.split.valid, row_length=length)
    found = [ranks(score(question), question.target, question.exclusion).masked for question in questions]
    return float(ndcg(torch.cat(found), 10).mean())


def train(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    product = assemble(options.interactions, products="bfloat16", seed=options.seed)
    runner = Ours(product, options.seed) if options.way == "ours" else Plain(
        product, options.seed, options.way == "plain_places"
    )  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    log, state = (options.out / f"{options.way}-{options.seed}{end}" for end in (".jsonl", ".pt"))
    done, spent = 0, 0.0
    if state.exists():
        stored = torch.load(state, weights_only=True)
        done, spent = stored["epochs"], stored["cpu_seconds"]
        runner.model.load_state_dict(stored["model"])
        runner.optimizer.load_state_dict(stored["optimizer"])
    known = log.read_text().splitlines()[:done] if log.exists() else []
    write_atomic(log, "".join(line + "\n" for line in known))
    epochs = min(options.epochs, product.knobs["fit"]["max_epochs"]) if options.way == "ours" else options.epochs
    for number in range(done, epochs):
        runner.model.train()
        began = time.process_time()
        runner.epoch(number)
        spent += time.process_time() - began
        runner.model.eval()
        line = {"epoch": number + 1, "cpu_seconds": round(spent, 2), "ndcg@10": quality(runner.score, product)}
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(options.way, line, flush=True)
        weights, steps = runner.model.state_dict(), runner.optimizer.state_dict()
        stored = {"epochs": number + 1, "cpu_seconds": spent, "model": weights, "optimizer": steps}
        torch.save(stored, state.with_suffix(".tmp"))
        state.with_suffix(".tmp").replace(state)


def curves(folder: Path, way: str) -> list[list[dict[str, float]]]:
    """One curve a seed."""
    files = sorted(folder.glob(f"{way}-*.jsonl"))
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def reached(curve: list[dict[str, float]], goal: float) -> float | None:
    """CPU-seconds at the first epoch that is as good as `goal`."""
    return next((at["cpu_seconds"] for at in curve if at["ndcg@10"] >= goal), None)


def draw(options: argparse.Namespace) -> None:
    from chart import quality_chart

    found = {way: curves(options.out, way) for way in WAYS if curves(options.out, way)}
    best = {way: statistics.mean(max(at["ndcg@10"] for at in c) for c in found[way]) for way in found}
    goals = [share * min(best.values()) for share in (0.9, 0.95, 0.99)]
    lines = [
        "CPU-seconds of training, one thread, until validation NDCG@10 (masked) is reached; means over"
        " seeds. The goals are 90, 95 and 99 % of the worst way's best.",
        "",
        "| | seeds | best NDCG@10 | " + " | ".join(f"s to {goal:.4f} | times ours" for goal in goals) + " |",
        "|---|---|---|" + "---|---|" * len(goals),
    ]
    base: list[float] = []
    for way, seeds in found.items():
        cells = []
        for place, goal in enumerate(goals):
            times = [reached(curve, goal) for curve in seeds]
            mean = None if None in times else statistics.mean(times)
            if way == "ours":
                base.append(mean)
            cells += ["", ""] if mean is None else [f"{mean:.0f}", f"{mean / base[place]:.1f}"]
        lines.append(f"| {WAYS[way]} | {len(seeds)} | {best[way]:.4f} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    write_atomic(RESULT / "quality.md", text)
    quality_chart({WAYS[way]: seeds for way, seeds in found.items()}, goals[-1], RESULT / "quality.png")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, work in (("train", train), ("draw", draw)):
        sub = verbs.add_parser(verb)
        sub.set_defaults(work=work)
        sub.add_argument("--out", type=Path, default=RESULT / "quality")
        if verb == "train":
            sub.add_argument("--interactions", type=Path, required=True)
            sub.add_argument("--way", choices=list(WAYS), required=True)
            sub.add_argument("--epochs", type=int, default=30)
            sub.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
