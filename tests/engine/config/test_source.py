"""A sentence names the knob that was typed, and not the one that takes its value from it."""

from __future__ import annotations

import pytest
from helper.command import sentence

PLAIN = ["representation=id"]
ID = ["backbone=sasrec", *PLAIN]
TEXT = ["backbone=sasrec", "selector=grpo", "profiler=template", "representation=llm_only"]
DREAMREC = ["backbone=dreamrec", *PLAIN]


@pytest.mark.parametrize(
    ("words", "name"),
    [([*TEXT, "selector.fit.withhold=-1"], "selector.fit.withhold=-1"),
     ([*ID, "backbone.fit.lr=-1"], "backbone.fit.lr=-1"),
     ([*TEXT[:1], *TEXT[2:], "representation.fit.lr=-1"], "representation.fit.lr=-1"),
     ([*ID, "backbone.fit.width=-1"], "backbone.fit.width=-1"), ([*ID, "backbone.fit.std=-1"], "backbone.fit.std=-1"),
     ([*TEXT, "backbone.fit.head=foo"], "backbone.fit.head=foo"),
     ([*TEXT, "representation.fit.dropout=2"], "fit.dropout=2"),
     ([*TEXT, "backbone.fit.weight_decay=-1"], "weight_decay=-1"),
     ([*TEXT, "selector.fit.withhold=x"], "fit.withhold=x"),
     ([*DREAMREC, "backbone.std=0"], "backbone.std=0"), ([*ID, "optimizer.lr=-1"], "optimizer.lr=-1")],
)  # fmt: skip
def test_a_knob_is_reported_by_the_name_that_was_typed(words, name, pte):
    code, streams = pte(*words, "plan=true")
    assert code == 2
    assert name in sentence(streams.err)


def test_a_backbone_without_a_schedule_is_told_which_line_it_lacks(tmp_path, pte):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "bare.yaml").write_text("_target_: pte.backbone.popularity.Popularity\n")
    code, streams = pte("--config-dir", str(tmp_path), "backbone=bare", *PLAIN, "plan=true")
    assert code == 2
    assert "names its schedule (conf/backbone/fit): defaults: [fit: sasrec, _self_]" in sentence(streams.err)
