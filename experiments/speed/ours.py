"""Our SASRec on the same rows: CPU-seconds of the product's own loaders, model and optimizer, one thread."""

import argparse
import json
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.lit.data import EvaluationLoader, TrainingLoader
from pte.metric.rank import ranks
from pte.paths import CONF_DIR
from pte.stage.pipeline import builder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--products", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--sequences", type=int, default=None, help="sequences a step; default: as shipped")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    overrides = [
        "dataset=Toys", f"dataset.data={options.interactions.parent.parent}", "representation=id", "backbone=sasrec",
        f"trainer.products={options.products}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", overrides), resolve=True)
    build = builder(config)
    interactions = build("dataset").read()
    split = build("protocol")(interactions)
    representation = build("representation", num_items=interactions.num_items, vectors=None)
    backbone = build("backbone", representation=representation, num_items=interactions.num_items)
    optimizer = build("optimizer")(backbone.parameters())
    sequences = options.sequences or config["trainer"]["batch_size"]
    loader = TrainingLoader(interactions, split, row_length=backbone.length, batch_size=sequences, seed=0)
    torch.set_float32_matmul_precision("medium" if options.products == "bfloat16" else "highest")
    steps = iter(loader)

    def train(count: int) -> float:
        targets = 0.0
        for _ in range(count):
            batch = next(steps)
            optimizer.zero_grad()
            backbone.loss(batch)["loss"].backward()
            optimizer.step()
            targets += batch.total
        return targets

    backbone.train()
    train(5)  # warm-up
    began = time.process_time()
    targets = train(options.steps)
    result = {
        "targets": targets, "targets_per_step": targets / options.steps, "sequences": sequences,
        "train_cpu_seconds": time.process_time() - began, "torch": torch.__version__,
    }  # fmt: skip
    if options.evaluate:
        torch.set_float32_matmul_precision("highest")
        backbone.eval()
        questions = EvaluationLoader(interactions, split.valid, row_length=backbone.length)
        began = time.process_time()
        with torch.inference_mode():
            for question in questions:
                for part, scores in question.scored(backbone.score_parts(question.history)):
                    ranks(scores, part.target, part.seen)
        result |= {"users": len(split.valid.target), "evaluate_cpu_seconds": time.process_time() - began}
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
