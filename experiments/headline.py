"""The results in README.md, from the ranks of experiments/toys_method: `python experiments/headline.py` prints them."""

from __future__ import annotations

import json
from pathlib import Path

from pte.report import evidence
from pte.report.leaderboard.board import boards
from pte.report.runs import Run

FOLDER = Path(__file__).parent / "toys_method"
METRIC = "NDCG@10"
NAMES = {  # by what the run changed, in order of the alphabet
    (): "the default: reader + likeness + memory",
    ("experiment=row/fused_tfidf",): "the default over counted words (TF-IDF), no language model's vectors",
    ("experiment=row/fused_strict",): "reader + likeness: nothing counted",
    ("experiment=row/fused_reader",): "the text reader alone, a SASRec over profile vectors",
    (
        "experiment=row/fused_strict_hybrid",
    ): "reader + likeness of sentence vectors and counted words: no purchase counted",
    ("experiment=row/count_text",): "likeness + memory: nothing trained but the gates",
    ("experiment=row/fused_id",): "the default with an ID reader in place of the text reader",
    ("backbone.experts=[reader,likeness]", "experiment=row/fused_id"): "ID reader + likeness: nothing counted",
    ("experiment=row/bsarec",): "BSARec with IDs alone",
    ("experiment=row/sasrec_id",): "SASRec with IDs alone",
    ("experiment=row/sasrec_llm_init",): "SASRec, its IDs begun from the texts (LLMInit)",
    ("experiment=row/sasrec_alphafuse",): "SASRec, IDs in the texts' null space (AlphaFuse)",
    ("experiment=row/sasrec_rlmrec_con",): "SASRec, IDs drawn to the texts (RLMRec-Con)",
    ("experiment=row/sasrec_llm_esr",): "SASRec with two views (LLM-ESR)",
    ("backbone=dreamrec", "representation=llm_only"): "DreamRec, ranking in training, texts alone",
    (  # typed before these were the default of IDs
        "backbone.encoder.attention_dropout=0.5",
        "backbone.encoder.dropout=0.5",
        "backbone.fit.std=0.02",
        "backbone.std=1.0",
        "backbone=dreamrec",
        "representation=id",
    ): "DreamRec, ranking in training, IDs alone",
    ("experiment=row/markov",): "co-occurrence alone",
    ("experiment=row/text_knn",): "likeness alone: nothing trained, nothing counted",
    ("selector=permuted",): "control: the default with the texts dealt out at random",
    ("experiment=row/count_text", "selector=permuted"): "control: likeness + memory with the texts dealt out at random",
}


def name(command: list[str]) -> str | None:
    """None: a row of the table that is no headline."""
    same = {"dataset", "profiler", "logger", "seed"}
    return NAMES.get(tuple(sorted(word for word in command[3:] if word.partition("=")[0] not in same)))


def number(value: float) -> str:
    return f"{value:.4f}".lstrip("0")


def block() -> str:
    """A Markdown table: one row per method, best first, with 95 % intervals over users."""
    rows = [json.loads(line) for line in (FOLDER / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    seeds: dict[str, list[Run]] = {}
    for run, row in zip(evidence.read(FOLDER), rows, strict=True):
        if title := name(row["command"]):
            seeds.setdefault(title, []).append(run)
    figures = []
    for title, runs in seeds.items():
        (board,), _ = boards({FOLDER.name: runs}, [METRIC])
        (each,) = board["rows"]
        figures.append((title, *(each["figures"][f"{kind}/{METRIC}"] for kind in ("masked", "unmasked"))))
    lines = [f"| method | {METRIC}, masked | {METRIC}, unmasked |", "|---|---|---|"]
    for title, *values in sorted(figures, key=lambda row: -row[1]["mean"]):
        cells = (f"{number(v['mean'])} [{number(v['low'])}, {number(v['high'])}]" for v in values)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(block())
