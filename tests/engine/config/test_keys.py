"""A knob that decides a result is in the key of the stage that reads it; one that is only how it runs is in none."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pte.artifact import Store
from pte.engine import build, plan
from pte.paths import CONF_DIR
from pte.profiler.language import LanguageModelProfiler

TRAINER = {f"trainer.{knob}" for knob in
           ("accelerator", "devices", "oversubscribe", "strategy", "compile", "scores_mib")}  # fmt: skip
SERVER = {f"profiler.server.{knob}" for knob in
          ("key_variable", "parallel", "timeout_seconds", "budget_tokens", "budget_money",
           "failure_share")}  # fmt: skip
TARIFF = {"profiler.tariff.tokens_per_second", "profiler.tariff.price"}
# What is marked, by the options that have it. Of `Resolved` ones the content is in the keys.
MARKED = {
    ("dataset=Toys", "profiler=transformers", "encoder=minilm", "selector=grpo"):
        {"dataset.data", "profiler.templates", "profiler.batch_size", "profiler.device", "encoder.batch_size",
         "encoder.device", "encoder.dtype"},
    ("dataset=custom", "profiler=openai", "encoder=hf", "backbone=sasrec"):
        {"dataset.interactions", "dataset.items", "profiler.templates", *SERVER, *TARIFF, "encoder.batch_size",
         "encoder.device", "encoder.dtype"},
    ("dataset=Amazon2014", "profiler=batch", "backbone=dreamrec", "optimizer=sparse_adam"):
        {"dataset.data", "dataset.reviews", "dataset.metadata", "dataset.sha256.reviews", "dataset.sha256.metadata",
         "profiler.templates", "profiler.folder", "profiler.without", "profiler.failure_share", *TARIFF,
         "encoder.batch_size", "encoder.device", "encoder.dtype"},
    ("dataset=MovieLens100K", "profiler=imported", "encoder=imported", "representation=alphafuse"):
        {"dataset.data", "dataset.source", "dataset.sha256", "profiler.file", "encoder.file"},
    ("dataset=MovieLens", "profiler=template", "trainer=ddp"):
        {"dataset.source", "dataset.source_sha256", "dataset.sha256.ml-100k.inter", "dataset.sha256.ml-100k.item",
         "encoder.batch_size", "encoder.device", "encoder.dtype"},
    ("dataset=Sports", "profiler=ray", "protocol=cold_start"):
        {"dataset.data", "protocol.file", "profiler.templates", "profiler.folder", *SERVER, *TARIFF,
         *(f"profiler.cluster.{knob}" for knob in ("address", "workers", "batch_size", "replicas", "engine_kwargs")),
         "encoder.batch_size", "encoder.device", "encoder.dtype"},
    ("dataset=YelpReviews", "profiler=none"):
        {"dataset.data", "dataset.reviews", "dataset.businesses", "encoder.batch_size", "encoder.device",
         "encoder.dtype"},
}  # fmt: skip
NAMES = [*plan.STAGES, *plan.EXTRA]


@pytest.fixture
def keys(monkeypatch, tmp_path):
    """The keys of all stages, of data and wordings that never change."""
    monkeypatch.setattr(plan, "builder", lambda config: lambda group: SimpleNamespace(identity=dict, fingerprint=dict))
    monkeypatch.setattr(build, "trusted", lambda config: ())  # looks through all installed packages
    monkeypatch.setattr(LanguageModelProfiler, "wording", lambda **knobs: {})
    return lambda config: {step.name: step.key for step in plan.steps(config, Store(tmp_path), NAMES)}


def leaves(value, above=()):
    if isinstance(value, dict) and value:
        return [leaf for key, part in value.items() for leaf in leaves(part, (*above, key))]
    return [above]


def with_other(config, path):
    changed = deepcopy(config)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = f"other than {inner[path[-1]]}"
    return changed


def readers(path):
    """The stages that read a knob, and those that build on them; of fused the stage `reader` reads its reader alone."""
    stages = set()
    for name in NAMES:
        module = plan.stage_module(name)
        apart = name == "reader" and path[0] == "backbone" and path[1] != "reader"
        if (path[0] in module.READS and not apart) or stages & set(module.PARENTS):
            stages.add(name)
    return stages


@pytest.mark.parametrize("words", MARKED, ids=" ".join)
def test_every_knob_but_the_marked_ones_is_in_the_keys_of_what_reads_it(keys, words):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", overrides=["paths.data=/data", *words]), resolve=True)
    before, marked = keys(config), set()
    for path in leaves(config):
        if path[-1] == "_target_" or path[0] in ("paths", "logger", "trust") or "fit" in path:  # for other groups
            continue
        after = keys(with_other(config, path))
        changed = {name for name in NAMES if after[name] != before[name]}
        if changed != readers(path):
            assert not changed, path
            marked.add(".".join(path))
    assert marked == MARKED[words] | TRAINER


@pytest.mark.parametrize(
    ("words", "path"),
    [(("profiler=transformers",), ("profiler", "templates")), (("protocol=cold_start",), ("protocol", "file")),
     (("encoder=imported",), ("encoder", "file"))],
    ids=str,
)  # fmt: skip
def test_a_file_counts_by_its_content_wherever_it_lies(keys, tmp_path, words, path):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", overrides=["paths.data=/data", *words]), resolve=True)
    found = []
    for place, text in (("one", "first"), ("two", "first"), ("two", "second")):
        (tmp_path / place).write_text(text)
        config[path[0]][path[1]] = str(tmp_path / place)
        found.append(keys(config))
    assert found[0] == found[1]
    assert {name for name in NAMES if found[2][name] != found[1][name]} == readers(path)
