"""Late ensembles of finished runs: is a gain more than what two models of any kind gain together?

    python experiments/toys_ensembles/ensembles.py "text, two seeds=RUN,RUN" "text and IDs=RUN,RUN" ...

A row scores by the mean of its runs' probabilities, each the softmax of that run's own scores over the catalogue; a row
of one run is that run. Writes ranks.npz (masked and unmasked ranks of the test cases by row, clipped at 255; target
groups), rows.jsonl (commands, commits and training keys of each row's runs) and table.md, beside this file.
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
from pte.protocol.group import item_groups
from pte.schema import Interactions, Split
from pte.train.loader import EvaluationBatch, EvaluationLoader

HERE = Path(__file__).resolve().parent
CLIP, SEED = 255, 0
PLACES = ("hydra.run.dir=", "paths.")  # of one machine


def together(models: list[Any], batch: EvaluationBatch) -> list[tuple[EvaluationBatch, torch.Tensor]]:
    """The batch with (B, N) log of the models' mean probability."""
    scores = None
    for model in models:
        own = torch.cat([part.float().clone() for part in model.score_parts(batch.history)]).log_softmax(dim=1)
        scores = own if scores is None else torch.logaddexp(scores, own)
    assert scores is not None
    return [(batch, scores)]


@torch.inference_mode()
def row(stored: list[Stored], data: Interactions, split: Split) -> dict[str, np.ndarray]:
    """(C,) ranks of the test cases, masked and unmasked."""
    models = [RunModel(one, data).backbone for one in stored]
    result = {kind: np.full(len(split.test.target), -1, np.int32) for kind in ("masked", "unmasked")}
    for batch in EvaluationLoader(data, split.test, row_length=max(m.length for m in models), scores_mib=8):
        for some, scores in together(models, batch):
            rank, case = ranks(scores, some.target, some.exclusion), some.case.numpy()
            result["masked"][case], result["unmasked"][case] = rank.masked.numpy(), rank.unmasked.numpy()
    return result


def table(names: list[str], rank: np.ndarray, head: np.ndarray) -> str:
    """NDCG@10 of (R, C) ranks, and each row's difference to the first with its interval over users."""
    lines = ["| row | all | head items | tail items | less the first | 95 % interval | p |", "|---" * 7 + "|"]
    gain = [values("NDCG", own, 10) for own in rank]
    for name, own in zip(names, gain, strict=True):
        means = " | ".join(f"{own[group].mean():.4f}" for group in (slice(None), head, ~head))
        if own is gain[0]:
            lines.append(f"| {name} | {means} | | | |")
            continue
        interval = paired_bootstrap(own, gain[0], rng=np.random.default_rng(SEED))
        p = paired_permutation(own, gain[0], rng=np.random.default_rng(SEED))
        lines.append(
            f"| {name} | {means} | {interval.mean:+.4f} | {interval.low:+.4f} to {interval.high:+.4f} | {p:.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="+", help="NAME=RUN,RUN: a row and the folders of its runs, of one split")
    rows = dict(text.rsplit("=", 1) for text in parser.parse_args().row)
    made, facts, head = {}, [], None
    for name, folders in rows.items():
        stored = [Stored(Path(folder)) for folder in folders.split(",")]
        data, split = Interactions.load(stored[0].path("interactions")), Split.load(stored[0].path("split"))
        head = item_groups(data, split)[data.item[split.test.target]]
        made[name] = row(stored, data, split)
        reports = [json.loads((one.run / "report.json").read_text(encoding="utf-8")) for one in stored]
        runs = [
            {
                "command": " ".join(w for w in r["command"] if not w.startswith(PLACES)),
                "commit": r["commit"],
                "training": r["stages"]["training"]["key"],
            }
            for r in reports
        ]
        facts.append({"row": name, "runs": runs})
        print(name, f"{values('NDCG', made[name]['masked'], 10).mean():.4f}", flush=True)
    kinds = {kind: np.stack([own[kind] for own in made.values()]) for kind in ("masked", "unmasked")}
    np.savez_compressed(
        HERE / "ranks.npz", head=head, **{k: v.clip(max=CLIP).astype(np.uint8) for k, v in kinds.items()}
    )
    write_atomic(HERE / "rows.jsonl", "".join(json.dumps(fact) + "\n" for fact in facts))
    write_atomic(HERE / "table.md", table(list(made), kinds["masked"], head) + "\n")
    print(table(list(made), kinds["masked"], head))


if __name__ == "__main__":
    main()
