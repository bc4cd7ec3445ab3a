"""What became of a language model's completions reaches the manifest and the run's report."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

from rich.console import Console

from pte.artifact import Store, read_manifest
from pte.engine.pipeline import execute
from pte.report.run.single import show
from pte.schema.context import Context

FACTS = {"completions": 40, "unusable_share": 0.1, "refused_share": 0.0, "cut_share": 0.25, "fallback_share": 0.05}


@dataclass
class Step:
    name: str = "profiles"
    key: str = "ab" * 32
    parents: dict = field(default_factory=dict)
    knobs: dict = field(default_factory=dict)

    def module(self):
        def run(context):
            (context.out / "facts.json").write_text(json.dumps(FACTS))

        return SimpleNamespace(run=run)


def test_a_stages_facts_stand_in_its_manifest(tmp_path):
    (tmp_path / "work").mkdir()
    context = Context({}, {}, tmp_path, tmp_path / "work", None, [])
    path = execute(Step(), context, Store(tmp_path / "store"), {"trainer": {}}, tmp_path, 0)
    assert read_manifest(path)["facts"] == FACTS


def test_the_report_tells_what_became_of_completions(tmp_path):
    card = {"name": "own", "users": 3, "items": 4, "interactions": 9}
    options = dict.fromkeys(("protocol", "backbone", "representation"), "x")
    report = {"options": options, "card": card, "stages": {}, "config": {"seed": 0}, "command": [], "metrics": {}}
    for completions, shown_there in ((FACTS, True), (None, False)):
        (tmp_path / "report.json").write_text(json.dumps(report | {"completions": completions}))
        with (tmp_path / "out").open("w") as file:
            show(tmp_path, Console(file=file, width=300))
        for written in ("report.md", "out"):
            assert ("25.0% cut at the token limit" in (tmp_path / written).read_text()) == shown_there
