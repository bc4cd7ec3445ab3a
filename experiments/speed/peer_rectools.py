"""RecTools 0.19's SASRec on the same rows: CPU-seconds of its fit per target and of its recommend for every user.

Runs in an environment of its own (see peers.py). All positions of 128 sequences a step, full softmax.
"""

import argparse
import json
import time
import warnings
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--users", type=int, default=2_000, help="sequences trained for the training figure")
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    import pandas as pd
    import torch

    torch.set_num_threads(1)
    from pytorch_lightning import Trainer
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    rows = pd.read_csv(options.interactions)
    left = rows.groupby("user_id")["position"].transform("max") - rows["position"]
    train = rows[left >= 2]
    frame = pd.DataFrame(
        {Columns.User: train["user_id"], Columns.Item: train["item_id"], Columns.Weight: 1.0,
         Columns.Datetime: pd.to_datetime(train["position"], unit="D")}
    )  # fmt: skip

    def model(epochs: int) -> SASRecModel:
        return SASRecModel(
            n_factors=64, n_blocks=2, n_heads=2, session_max_len=50, dropout_rate=0.5, loss="softmax", batch_size=128,
            dataloader_num_workers=0, epochs=epochs, verbose=0,
            get_trainer_func=lambda: Trainer(
                max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False,
            ),
        )  # fmt: skip

    # Every item stays in the catalogue: the softmax is as wide as ours.
    keep = frame[Columns.User].isin(frame[Columns.User].unique()[: options.users]) | ~frame.duplicated(Columns.Item)
    part = frame[keep]
    targets = int((part.groupby(Columns.User).size() - 1).clip(lower=0).sum())
    dataset = Dataset.construct(part)
    model(1).fit(dataset)  # warm-up
    one = _cpu(lambda: model(1).fit(dataset))
    fitted = model(2)
    two = _cpu(lambda: fitted.fit(dataset))
    result = {"targets": targets, "train_cpu_seconds": two - one, "torch": torch.__version__}  # set-up cancels
    if options.evaluate:
        whole = Dataset.construct(frame)
        fitted = model(1)
        fitted.fit(whole)
        users = frame[Columns.User].unique()
        spent = _cpu(lambda: fitted.recommend(users=users, dataset=whole, k=50, filter_viewed=False))
        result |= {"users": len(users), "evaluate_cpu_seconds": spent}
    print("RESULT " + json.dumps(result))


def _cpu(work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
