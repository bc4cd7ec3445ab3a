"""RecTools 0.19's SASRec on the same rows: CPU-seconds of its own training steps and of its recommend for some users.

Runs in an environment of its own (see peers.py). All positions of 128 sequences a step, full softmax over all items.
"""

import argparse
import json
import time
import warnings
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4, help="timed, after a first one that is not")
    parser.add_argument("--users", type=int, default=2_000, help="how many to rank for")
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    import pandas as pd
    import torch

    torch.set_num_threads(1)
    from pytorch_lightning import Callback, Trainer, seed_everything
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    class Clock(Callback):
        """Targets and CPU-seconds from the end of the first step to that of the last.

        Kept by the class: the model trains with a copy of its trainer, callbacks included.
        """

        targets, began, spent = 0, 0.0, 0.0

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if batch_idx == 0:
                Clock.began = time.process_time()
            else:
                Clock.targets += int((batch["y"] != 0).sum())
                Clock.spent = time.process_time() - Clock.began

    rows = pd.read_csv(options.interactions)
    left = rows.groupby("user_id")["position"].transform("max") - rows["position"]
    train = rows[left >= 2]
    frame = pd.DataFrame(
        {Columns.User: train["user_id"], Columns.Item: train["item_id"], Columns.Weight: 1.0,
         Columns.Datetime: pd.to_datetime(train["position"], unit="D")}
    )  # fmt: skip
    seed_everything(0)
    model = SASRecModel(
        n_factors=64, n_blocks=2, n_heads=2, session_max_len=50, dropout_rate=0.5, loss="softmax", batch_size=128,
        dataloader_num_workers=0, epochs=1, verbose=0,
        get_trainer_func=lambda: Trainer(
            max_epochs=1, limit_train_batches=1 + options.steps, accelerator="cpu", logger=False, callbacks=[Clock()],
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        ),
    )  # fmt: skip
    dataset = Dataset.construct(frame)
    model.fit(dataset)
    result = {"targets": Clock.targets, "train_cpu_seconds": Clock.spent, "torch": torch.__version__}
    if options.evaluate:
        users = frame[Columns.User].drop_duplicates().sample(options.users, random_state=0)
        began = time.process_time()
        model.recommend(users=users.to_numpy(), dataset=dataset, k=50, filter_viewed=False)
        result |= {"users": len(users), "evaluate_cpu_seconds": time.process_time() - began}
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
