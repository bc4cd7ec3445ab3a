"""Late ensembles of finished runs: is a gain more than what two models of any kind gain together?

    python experiments/toys_ensembles/ensembles.py "text, two seeds=RUN,RUN" "text and IDs=RUN,RUN" ...
    python experiments/toys_ensembles/ensembles.py          # table.md again, from the ranks kept

A row scores by the mean of its runs' probabilities, each the softmax of that run's own scores over the catalogue; a row
of one run is that run. Writes ranks.npz (masked and unmasked ranks of the test cases by row, clipped at 255; target
groups), runs.jsonl (commands, commits and training keys of each row's runs) and table.md, beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pte.artifact import Stored, write_atomic
from pte.engine.inference.recommend import RunModel
from pte.metric.rank import ranks
from pte.metric.significance import paired_bootstrap, paired_permutation
from pte.metric.summary import values
from pte.nn.batch import History
from pte.protocol.group import item_groups
from pte.schema import Interactions, Split
from pte.train.loader import EvaluationLoader

HERE = Path(__file__).resolve().parent
CLIP, SEED = 255, 0
KINDS = ("masked", "unmasked")
PLACES = ("hydra.run.dir=", "paths.")  # of one machine


def log_mean_probability(models: list[Any], history: History) -> torch.Tensor:
    """(B, N) log of the mean over models of the softmax of their scores, but for a constant."""
    logs = [torch.cat([part.float().clone() for part in m.score_parts(history)]).log_softmax(dim=1) for m in models]
    return torch.stack(logs).logsumexp(dim=0)


@torch.inference_mode()
def row(stored: list[Stored], data: Interactions, split: Split) -> dict[str, np.ndarray]:
    """(C,) ranks of the test cases, masked and unmasked."""
    models = [RunModel(one, data).backbone for one in stored]
    result = {kind: np.full(len(split.test.target), -1, np.int32) for kind in KINDS}
    for batch in EvaluationLoader(data, split.test, row_length=max(m.length for m in models), scores_mib=8):
        rank = ranks(log_mean_probability(models, batch.history), batch.target, batch.exclusion)
        case = batch.case.numpy()
        result["masked"][case], result["unmasked"][case] = rank.masked.numpy(), rank.unmasked.numpy()
    return result


def rank(rows: dict[str, str]) -> None:
    """Write ranks.npz and runs.jsonl of rows: names and their runs' folders, separated by commas."""
    made, facts, head = [], [], None
    for name, folders in rows.items():
        stored = [Stored(Path(folder)) for folder in folders.split(",")]
        data, split = Interactions.load(stored[0].path("interactions")), Split.load(stored[0].path("split"))
        head = item_groups(data, split)[data.item[split.test.target]]
        made.append(row(stored, data, split))
        reports = [json.loads((one.run / "report.json").read_text(encoding="utf-8")) for one in stored]
        runs = [
            {
                "command": " ".join(word for word in report["command"] if not word.startswith(PLACES)),
                "commit": report["commit"], "training": report["stages"]["training"]["key"],
            }
            for report in reports
        ]  # fmt: skip
        facts.append({"row": name, "runs": runs})
        print(name, f"{values('NDCG', made[-1]['masked'], 10).mean():.4f}", flush=True)
    kinds = {kind: np.stack([own[kind] for own in made]).clip(max=CLIP).astype(np.uint8) for kind in KINDS}
    np.savez_compressed(HERE / "ranks.npz", head=head, **kinds)
    write_atomic(HERE / "runs.jsonl", "".join(json.dumps(fact) + "\n" for fact in facts))


def table() -> str:
    """NDCG@10 of the ranks kept, and each row's difference to the first with its interval over users."""
    names = [json.loads(line)["row"] for line in (HERE / "runs.jsonl").read_text(encoding="utf-8").splitlines()]
    with np.load(HERE / "ranks.npz", allow_pickle=False) as rows_of:
        gain, head = [values("NDCG", own, 10) for own in rows_of["masked"].astype(np.int32)], rows_of["head"]
    lines = ["| row | all | head items | tail items | less the first | 95 % interval | p |", "|---" * 7 + "|"]
    for name, own in zip(names, gain, strict=True):
        means = " | ".join(f"{own[group].mean():.4f}" for group in (slice(None), head, ~head))
        interval = paired_bootstrap(own, gain[0], rng=np.random.default_rng(SEED))
        p = paired_permutation(own, gain[0], rng=np.random.default_rng(SEED))
        than_first = f"{interval.mean:+.4f} | {interval.low:+.4f} to {interval.high:+.4f} | {p:.4f}"
        lines.append(f"| {name} | {means} | {' | | ' if own is gain[0] else than_first} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="*", help="NAME=RUN,RUN: a row and the folders of its runs, of one split")
    if rows := parser.parse_args().row:
        rank(dict(text.rsplit("=", 1) for text in rows))
    write_atomic(HERE / "table.md", table())
    print(table())


if __name__ == "__main__":
    main()
