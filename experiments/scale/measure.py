"""One catalogue size, one way of training: CPU-ms per target and per ranked user, peak memory. One thread."""

import argparse
import json
import time
from itertools import chain, repeat

import torch
from catalogue import interactions
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.engine.build import builder
from pte.engine.provenance import peak_memory_mib
from pte.metric.rank import ranks
from pte.paths import CONF_DIR
from pte.schema import Cases
from pte.train.loader import EvaluationLoader, TrainingLoader

WAYS = {  # name -> what is typed
    "full cross-entropy": [],
    "sampled, dense gradients": ["backbone/loss=sampled_softmax"],
    "sampled, sparse gradients": [
        "backbone/loss=sampled_softmax",
        "representation.sparse=true",
        "optimizer=sparse_adam",
    ],
}
USERS = 20_000
TRAIN_SECONDS, MOST_STEPS = 8.0, 100  # CPU-seconds to measure for, after one step that makes the optimizer's state
RANKED = 2 * 10**8  # scores to rank: 20,000 users of 10^4 items, 200 of 10^6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--way", choices=list(WAYS), required=True)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--steps", type=int, default=MOST_STEPS, help="at most, after the first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        overrides = ["representation=id", "backbone=sasrec", *WAYS[options.way]]
        config = OmegaConf.to_container(compose("config", overrides), resolve=True)
    build = builder(config)
    data = interactions(options.items, options.users)
    split = build("protocol")(data)
    representation = build("representation", num_items=data.num_items, vectors=None)
    backbone = build("backbone", representation=representation, num_items=data.num_items)
    optimizer = build("optimizer")(backbone.parameters())
    loader = TrainingLoader(data, split, row_length=backbone.length, batch_size=config["trainer"]["batch_size"], seed=0)
    torch.set_float32_matmul_precision("medium")  # trainer.products=bfloat16, as shipped
    batches = chain.from_iterable(repeat(loader))

    def step() -> float:
        batch = next(batches)
        optimizer.zero_grad()
        backbone.loss(batch)["loss"].backward()
        optimizer.step()
        return batch.total

    backbone.train()
    step()
    targets, steps, began = 0.0, 0, time.process_time()
    while steps < options.steps and (time.process_time() - began < TRAIN_SECONDS or not steps):
        targets += step()
        steps += 1
    result = {
        "items": options.items, "way": options.way, "targets_per_step": targets / steps, "steps": steps,
        "ms_per_target": 1e3 * (time.process_time() - began) / targets, "train_peak_mib": peak_memory_mib(),
    }  # fmt: skip
    optimizer.zero_grad()
    torch.set_float32_matmul_precision("highest")
    backbone.eval()
    every = max(1, options.users * options.items // RANKED)
    cases = Cases(split.valid.user[::every], split.valid.target[::every], split.valid.tied[::every])
    questions = EvaluationLoader(data, cases, row_length=backbone.length)
    began = time.process_time()
    with torch.inference_mode():
        for question in questions:
            ranks(backbone.score(question.history), question.target, question.exclusion)
    count = len(cases.target)
    result |= {"users": count, "ms_per_user": 1e3 * (time.process_time() - began) / count}
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
