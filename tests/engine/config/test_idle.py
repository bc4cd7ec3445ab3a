"""Knobs that change nothing beside the others are told, each by name; those that are read are not."""

from __future__ import annotations

import polars as pl
import pytest

PLAIN = ["representation=id"]
ID = ["backbone=sasrec", *PLAIN]
TEXT = ["backbone=sasrec", "selector=grpo", "profiler=template", "representation=llm_only"]
LLM_ESR, ALPHAFUSE, RLMREC = (
    ["backbone=sasrec", "profiler=template", f"representation={name}"]
    for name in ("llm_esr", "alphafuse", "rlmrec_con")
)
MARKOV = ["backbone=markov", *PLAIN]
SERVED = [*TEXT, "profiler=openai", "profiler.model=m"]


@pytest.mark.parametrize(
    ("words", "message"),
    [([*MARKOV, "trainer.max_epochs=3"], "trainer.max_epochs=3 changes nothing: this backbone is counted"),
     ([*ID, "selector=grpo", "selector.objective.kl=0.1"], "selector.objective.kl=0.1 changes nothing: no text"),
     (["backbone=dreamrec", *TEXT[1:], "representation.fit.dropout=0.3"], "representation.fit.dropout=0.3 changes"),
     ([*TEXT, "representation.head=linear", "representation.hidden=9"], "representation.hidden=9 changes nothing"),
     (["refit=false", *ID], "refit=false changes nothing: no selector reads a reward"),
     (["until=split", "stage=interactions", *ID], "until=split changes nothing: stage=interactions runs"),
     (["prune=true", *ID], "prune=true changes nothing"),
     (["dataset.rules.cut_seed=4", *ID], "cut_seed=4 changes nothing: it goes with dataset.rules.max_users"),
     ([*ALPHAFUSE, "representation.null_space.dim=8", "representation.null_space.share=0.3"], "0.3 changes nothing"),
     (["profiler=template", "backbone.profile.eps=0.1"], "eps=0.1 changes nothing: it is read by profile, not among"),
     (["profiler=template", "backbone.experts=[likeness,memory]", "backbone.reader.layers=1"], "=1 changes nothing"),
     (["profiler=template", "backbone.experts=[reader]", "backbone.long_recency=0.5"], "long_recency=0.5 changes noth"),
     (["profiler=template", "backbone.experts=[reader,likeness]", "backbone.gate_features=[popularity]"],
      "changes nothing: popularity goes with an expert that counts"),
     (["profiler=template", "backbone.experts=[reader,carried]", "backbone.likeness.neighbors=5"],
      "neighbors=5 changes nothing: it is read by likeness, not among"),
     ([*TEXT, "profiler.num_candidates=1"], "profiler.num_candidates=1 leaves selector=grpo nothing to choose"),
     ([*TEXT[:1], "profiler=template", "selector=random", "profiler.num_candidates=1"],
      "leaves selector=random nothing"),
     ([*TEXT, "representation.head=none", "representation.width=32"],
      "width=32 changes nothing: under representation.h"),
     ([*TEXT, "selector=mean", "reward.width=32"], "reward.width=32 changes nothing: selector=mean reads no reward"),
     ([*TEXT, "selector.inner_epochs=1", "selector.objective.clip=[0.1,0.1]"], "clip=[0.1,0.1] changes nothing"),
     ([*TEXT, "reward=distinct", "reward.parts.format.min_words=9"],
      "min_words=9 changes nothing: reward.weights.form"),
     ([*TEXT, "encoder.revision=main"], "revision=main changes nothing beside encoder.model="),
     ([*ALPHAFUSE, "representation.std=0.01"], "std=0.01 changes nothing: representation.least_std=0.1 is larger"),
     ([*ALPHAFUSE, "representation.scale=9"], "scale=9 changes nothing: it is for representation.standardise=false"),
     ([*LLM_ESR, "representation.alpha=0", "representation.pool=99"],
      "pool=99 changes nothing beside representation.al"),
     ([*RLMREC, "representation.form=cosine", "representation.temperature=1"], "temperature=1 changes nothing beside"),
     ([*MARKOV, "backbone.window=1", "backbone.distance_power=1"], "distance_power=1 changes nothing beside"),
     (["backbone=bsarec", *PLAIN, "backbone.alpha=0", "backbone.c=3"], "c=3 changes nothing beside backbone.alpha=0"),
     (["backbone=dreamrec", *TEXT[1:], "backbone.sphere=false"], "sphere=false changes nothing: no vector of an item"),
     (["backbone=count_text", "profiler=template", "trainer.max_epochs=3"],
      "=3 changes nothing: this backbone is count"),
     ([*MARKOV, "representation.width=3"], "width=3 changes nothing: this backbone is counted, and reads no vectors"),
     ([*MARKOV, "seed=1"], "seed=1 changes nothing: nothing is drawn"),
     ([*ID, "encoded=[item,metadata]"], "=[item,metadata] changes nothing"),
     ([*ID, "protocol.holdout=5"], "holdout=5 changes nothing"), ([*ID, "protocol.withhold=1"], "=1 changes nothing"),
     ([*TEXT, "protocol.withhold=0", "protocol.min_visible=1"],
      "min_visible=1 changes nothing beside protocol.withhold"),
     ([*TEXT, "protocol=global_temporal", "protocol.valid_from=2020-09-13", "protocol.test_from=2020-09-14",
       "protocol.shares=[1,1,1]"], "shares=[1,1,1] changes nothing beside protocol.valid_from=2020-09-13"),
     ([*ID, "dataset.rating=stars"], "rating=stars changes nothing: it goes with dataset.min_rating"),
     ([*ID, "dataset.timestamp=null", "dataset.position=p", "dataset.time_format=seconds"], "=seconds changes nothing"),
     ([*ID, "trainer.patience=99"], "patience=99 changes nothing: training ends with trainer.max_epochs=20"),
     ([*SERVED, "profiler.sides=[item]", "profiler.user_forms=[taste]"],
      "user_forms=[taste] changes nothing beside profiler.sides"),
     ([*SERVED, "profiler.stop=0.1"], "stop=0.1 changes nothing beside profiler.ro")],
)  # fmt: skip
def test_an_idle_knob_is_reported(words, message, pte):
    code, streams = pte(*words, "plan=true")
    assert code == 0
    assert message in streams.out


def test_how_text_is_written_is_idle_beside_parquet(pte, tmp_path):
    pl.read_csv(tmp_path / "items.csv").write_parquet(tmp_path / "items.parquet")
    pl.read_csv(tmp_path / "inter.csv").write_parquet(tmp_path / "inter.parquet")
    for tables, noted in ((["items"], False), (["items", "interactions"], True)):
        words = [f"dataset.{table}={table[:5]}.parquet" for table in tables]
        for word in ("dataset.separator=comma", "dataset.quoting=double"):
            code, streams = pte(*ID, *words, word, "plan=true")
            assert code == 0
            assert (f"{word} changes nothing: both tables are Parquet" in streams.out) == noted


@pytest.mark.parametrize(
    "words",
    [["trainer.max_epochs=3"], ["backbone.fit.lr=0.1"], ["representation.width=32"], ["trainer.patience=3"], ["seed=1"],
     ["dataset.separator=comma"], ["protocol.min_length=4"]],
)  # fmt: skip
def test_a_knob_that_is_read_is_not_reported(words, pte):
    code, streams = pte(*ID, *words, "plan=true")
    assert code == 0
    assert "note:" not in streams.out
