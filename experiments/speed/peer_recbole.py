"""RecBole 1.2.1's SASRec on the same rows: CPU-seconds of its own trainer's steps and of its own full ranking.

Runs in an environment of its own (see peers.py). Training: one sample per target, 256 a step, full cross-entropy.
"""

import argparse
import csv
import gzip
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path


def stand_in_for_ray():
    """recbole.quick_start imports ray.tune, which its trainer and evaluator never need."""
    ray, tune = types.ModuleType("ray"), types.ModuleType("ray.tune")
    ray.tune = tune
    sys.modules |= {"ray": ray, "ray.tune": tune}


def write_atomic_file(source: Path, folder: Path) -> None:
    """RecBole's .inter file; the position stands in for the time, so that both sides see one order."""
    with gzip.open(source, "rt", newline="") as file, (folder / "toys" / "toys.inter").open("w") as out:
        out.write("user_id:token\titem_id:token\ttimestamp:float\n")
        out.writelines(f"{r['user_id']}\t{r['item_id']}\t{r['position']}\n" for r in csv.DictReader(file))


class FirstBatches:
    """The first n batches of a loader: what a step costs does not depend on how many follow."""

    def __init__(self, loader, n):
        self.loader, self.n, self.shuffle, self.sampler = loader, n, loader.shuffle, loader.sampler

    def __len__(self):
        return self.n

    def __iter__(self):
        for number, batch in enumerate(self.loader):
            if number == self.n:
                return
            yield batch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--anomaly", action="store_true", help="as shipped: autograd's anomaly detection is left on")
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    stand_in_for_ray()
    import numpy as np
    import torch

    np.bool8 = np.bool_
    torch.set_num_threads(1)
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "toys").mkdir()
        write_atomic_file(options.interactions, folder)
        os.chdir(folder)
        settings = {
            "data_path": str(folder), "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": 50, "hidden_size": 64, "inner_size": 256, "n_layers": 2, "n_heads": 2,
            "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5, "loss_type": "CE", "train_neg_sample_args": None,
            "train_batch_size": 256, "eval_batch_size": 256, "use_gpu": False, "show_progress": False, "worker": 0,
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
            "metrics": ["Hit", "NDCG", "MRR"], "topk": [5, 10, 20, 50], "valid_metric": "NDCG@10", "state": "ERROR",
        }  # fmt: skip
        sys.argv = sys.argv[:1]
        config = Config(model="SASRec", dataset="toys", config_dict=settings)
        init_seed(0, True)
        dataset = create_dataset(config)
        train, valid, _ = data_preparation(config, dataset)
        model = get_model("SASRec")(config, train._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
        torch.autograd.set_detect_anomaly(options.anomaly)
        trainer._train_epoch(FirstBatches(train, 3), 0)  # warm-up
        began = time.process_time()
        trainer._train_epoch(FirstBatches(train, options.steps), 1)
        spent = time.process_time() - began
        result = {"targets": 256 * options.steps, "train_cpu_seconds": spent, "torch": torch.__version__}
        if options.evaluate:
            torch.autograd.set_detect_anomaly(False)
            began = time.process_time()
            trainer.evaluate(valid, load_best_model=False)
            result |= {"users": len(valid._dataset), "evaluate_cpu_seconds": time.process_time() - began}
        print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
