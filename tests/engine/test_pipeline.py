"""Keys change with what a stage reads and with nothing else; damage is rebuilt; secrets stay out."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from pte.artifact import Store
from pte.asset import knob_content
from pte.engine import pipeline, plan, run_folder
from pte.engine.build import construct
from pte.engine.config import secret
from pte.engine.process.device import process_count
from pte.schema import InputError, Resolved, Runtime
from pte.schema.context import Context

CONFIG = {
    "dataset": {"_target_": f"{__name__}.Rows", "path": "a", "k": 5},
    "protocol": {"_target_": f"{__name__}.Draw", "seed": 0, "workers": 2},
    "trainer": {"devices": 1}, "trust": [__name__],
}  # fmt: skip


class Rows:
    """A data set: the files are known by their content."""

    def __init__(self, *, path: Resolved[str], k: int) -> None: ...


class Draw:
    def __init__(self, *, seed: int, workers: Runtime[int]) -> None: ...


def stage(name, reads, parents=(), version=1):
    return SimpleNamespace(NAME=name, VERSION=version, READS=reads, PARENTS=parents, roots=lambda _: {"sha": "1"})


@pytest.fixture
def modules(monkeypatch):
    made = {
        "interactions": stage("interactions", ("dataset",)),
        "split": stage("split", ("protocol",), ("interactions",)),
    }
    monkeypatch.setattr(plan, "stage_module", made.__getitem__)
    monkeypatch.setattr(plan, "builder", lambda config: lambda group, **facts: SimpleNamespace(identity=dict))
    return made


def keys(config, tmp_path):
    return [step.key for step in plan.steps(config, Store(tmp_path), ["interactions", "split"])]


@pytest.mark.parametrize(
    ("group", "knob", "changed"),
    [("dataset", "k", (True, True)), ("dataset", "path", (False, False)), ("protocol", "seed", (False, True)),
     ("protocol", "workers", (False, False)), ("trainer", "devices", (False, False))],
)  # fmt: skip
def test_a_knob_changes_the_keys_of_what_reads_it(modules, tmp_path, group, knob, changed):
    before = keys(CONFIG, tmp_path)
    after = keys({**CONFIG, group: {**CONFIG[group], knob: "other"}}, tmp_path)
    assert tuple(a != b for a, b in zip(before, after, strict=True)) == changed


def test_version_and_raw_files_change_the_keys(modules, tmp_path):
    before = keys(CONFIG, tmp_path)
    modules["split"].VERSION = 2
    assert keys(CONFIG, tmp_path)[0] == before[0]
    assert keys(CONFIG, tmp_path)[1] != before[1]
    modules["interactions"].roots = lambda _: {"sha": "2"}
    assert keys(CONFIG, tmp_path)[0] != before[0]


def test_a_model_folder_of_ones_own_is_known_by_its_content(modules, tmp_path):
    modules["split"].READS = ("encoder",)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("first")
    config = {**CONFIG, "encoder": {"model": str(folder)}}
    before = keys(config, tmp_path)
    assert keys(config, tmp_path) == before
    (folder / "weights").write_text("tuned")
    assert keys(config, tmp_path)[1] != before[1]
    assert list(knob_content({"encoder": {"model": f"file:{folder}"}})) == ["encoder"]
    assert list(knob_content({"encoder": {"dense": {"model": str(folder)}, "width": 3}})) == ["encoder.dense"]
    assert list(knob_content({"profiler": {"file": str(folder / "weights")}})) == ["profiler.file"]
    for elsewhere in ("owner/name", "pypi:pack==1/file", "", None):
        assert knob_content({"encoder": {"model": elsewhere}}) == {}


def test_keys_do_not_depend_on_the_hash_seed():
    code = "from pte.artifact import digest; print(digest({'b': {'y': 1, 'x': 2}, 'a': [1, 2]}))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": s}, capture_output=True, check=True
        )
        for s in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout


def test_one_process_at_a_time_makes_an_artefact(tmp_path, caplog):
    """The second says that it waits, and finds its folder there although the first one has removed it."""
    step = plan.Step("split", "k" * 64, {}, {}, None)
    order = []

    def context():
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return Context({}, {}, work, work, lambda *_: None, [])

    def second(given):
        with pipeline.exclusive(given, step):
            order.append(("second", given.work.is_dir()))

    with pipeline.exclusive(first := context(), step):
        waiting = threading.Thread(target=second, args=[context()])
        waiting.start()
        while not caplog.messages:
            assert waiting.is_alive()
            time.sleep(0.01)
        shutil.rmtree(first.work)
        order.append("first")
    waiting.join(30)
    assert order == ["first", ("second", True)]
    assert "waiting: another process" in caplog.messages[0]


def test_only_trusted_names_are_built():
    with pytest.raises(InputError, match=r"trust=\[os\]"):
        construct({"_target_": "os.system", "command": "true"}, "conf/dataset")


def test_a_mistyped_knob_is_named():
    with pytest.raises(InputError, match="min_lenght"):
        construct({"_target_": "pte.protocol.leave_one_out.LeaveOneOut", "min_lenght": 3}, "conf/protocol")


def test_a_users_mistake_in_a_constructor_comes_through():
    with pytest.raises(InputError, match="min_length=2"):
        construct({"_target_": "pte.protocol.leave_one_out.LeaveOneOut", "min_length": 2}, "conf/protocol")


def test_secrets_are_redacted_wherever_they_stand():
    config = {"logger": {"api_key": "abc"}, "url": "https://user:pw@host/x", "list": [{"password": "p"}], "key": "kept"}
    assert secret.redacted(config) == {
        "logger": {"api_key": "***"}, "url": "https://***@host/x", "list": [{"password": "***"}], "key": "kept",
    }  # fmt: skip


def test_a_report_names_no_folder_of_this_machine():
    config = {"paths": {"data": "/a/b"}, "dataset": {"data": "/a/b", "items": "/c/items.csv", "name": "x"}, "k": [1]}
    assert run_folder.portable(config) == {"dataset": {"data": "b", "items": "items.csv", "name": "x"}, "k": [1]}
    words = ["stage=report", "dataset=Toys", "paths.outputs=/o", "hydra.run.dir=/r", "seed=1"]
    assert run_folder.command_line(words) == ["python", "-m", "pte.run", "dataset=Toys", "seed=1"]


def test_process_count(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    trainer = {"devices": 2, "accelerator": "cpu", "oversubscribe": False}
    assert process_count(trainer) == 2
    assert process_count({**trainer, "devices": "auto"}) == 1
    assert process_count({**trainer, "devices": -1}) == 1
    for devices in (0, True, "two", 2.0):
        with pytest.raises(InputError, match=r"trainer\.devices=.*: give a positive number"):
            process_count({**trainer, "devices": devices})
    with pytest.raises(InputError, match=r"trainer\.devices=64: this machine has 2 cores.*trainer\.oversubscribe=true"):
        process_count({**trainer, "devices": 64})
    assert process_count({**trainer, "devices": 3, "oversubscribe": True}) == 3


def test_more_devices_than_accelerators_cannot_be_forced(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    trainer = {"devices": "auto", "accelerator": "auto", "oversubscribe": True}
    assert process_count(trainer) == 2
    with pytest.raises(InputError, match="this machine has 2 accelerators"):
        process_count({**trainer, "devices": 3})


ALL = ["item", "metadata", "user"]
ENCODER = {"_target_": "pte.encoder.sentence.SentenceEncoder"}
BACKBONE = {"_target_": "pte.backbone.fused.Fused", "experts": ["reader", "memory"]}


@pytest.mark.parametrize(
    ("selector", "candidates", "sides", "encoded"),
    [("grpo", 4, "auto", ALL), ("best_of_k", 4, "auto", ALL), ("mean", 4, "auto", ALL[:2]),
     ("first", 4, "auto", ALL[:2]),
     ("random", 4, "auto", ALL[:2]), ("permuted", 4, "auto", ALL[:2]), ("grpo", 1, "auto", ["item"]),
     ("mean", 1, "auto", ["item"]), ("mean", 4, ["user", "metadata", "item"], ALL)],
)  # fmt: skip
def test_what_selection_reads_is_encoded(selector, candidates, sides, encoded):
    target = {"grpo": "grpo.GRPO", "best_of_k": "best_of_k.BestOfK"}.get(selector, f"{selector}.{selector.title()}")
    config = {
        "encoded": sides, "selector": {"_target_": f"pte.selector.{target}"},
        "profiler": {"_target_": "pte.profiler.template.TemplateProfiler", "num_candidates": candidates},
        "encoder": ENCODER, "backbone": BACKBONE,
    }  # fmt: skip
    assert plan.encoded(config) == encoded


@pytest.mark.parametrize(
    ("sides", "words"),
    [(["item", "metadata"], "user texts are read too"), (["user"], "item and metadata texts are read too"),
     ("some", "a list out of"), (["item", "users"], "a list out of"), (True, "a list out of"), (None, "a list out of")],
)  # fmt: skip
def test_what_is_read_cannot_be_left_out(sides, words):
    selector = {"_target_": "pte.selector.grpo.GRPO"}
    with pytest.raises(InputError, match=words):
        plan.encoded(
            {
                "encoded": sides, "selector": selector, "profiler": {"num_candidates": 2}, "encoder": ENCODER,
                "backbone": BACKBONE,
            }
        )  # fmt: skip


def test_users_texts_are_encoded_for_a_backbone_that_reads_them():
    config = {
        "encoded": "auto", "selector": {"_target_": "pte.selector.mean.Mean"}, "encoder": ENCODER,
        "profiler": {"_target_": "pte.profiler.template.TemplateProfiler", "num_candidates": 1},
        "backbone": BACKBONE | {"experts": ["likeness", "profile"]},
    }  # fmt: skip
    assert plan.encoded(config) == ["item", "user"]


def test_the_key_says_which_sides_were_encoded():
    module = plan.stage_module("embeddings")
    knobs = plan.knobs_of(module, {"encoder": {"dim": 3}, "encoded": ["item"]})
    assert knobs == {"encoder": {"dim": 3}, "encoded": ["item"]}


def test_minutes_are_those_of_the_newest_artefact_of_the_same_classes_and_data(tmp_path):
    store, mine = Store(tmp_path), {"protocol": {"_target_": "mine", "part": {"_target_": "own"}, "a": 1}}
    other = {"protocol": {"_target_": "mine", "part": {"_target_": "another"}}}
    more = {"protocol": mine["protocol"] | {"a": 2}}
    for key, data, knobs, seconds in (
        ("a", "d1", mine, 60.0), ("c", "d1", more, 90.0), ("b", "d2", mine, 600.0), ("d", "d1", other, 700.0)
    ):  # fmt: skip
        manifest = {"parents": {"interactions": data}, "knobs": knobs, "wall_seconds": seconds}
        with store.publish("split", key * 64, manifest):
            pass
        key *= 64
        os.utime(store.path("split", key), (seconds, seconds))
    steps = [
        plan.Step("interactions", "d1", {}, {}, tmp_path),
        plan.Step("split", "e" * 64, {"interactions": "d1"}, mine, None),
        plan.Step("training", "f" * 64, {"interactions": "d1"}, {}, None),
    ]
    assert plan.table(store, steps) == [
        "stage         key               there  minutes",
        "interactions  d1  hit",
        f"split         {'e' * 16}  miss       1.5",
        f"training      {'f' * 16}  miss         –",
        "about 1.5 minutes, as last for these data; –: not yet measured",
    ]
    assert plan.table(store, steps[:1])[-1] == "nothing is to be made"
    assert "once a stage was made" in plan.table(store, [steps[2]])[-1]


def test_who_waited_for_a_folder_that_was_removed_locks_the_one_that_is_there(tmp_path, monkeypatch):
    work = tmp_path / "work"
    step, lock = SimpleNamespace(name="training", key="0" * 64), fcntl.flock

    def removed_meanwhile(descriptor, kind):
        if work.exists() and not (tmp_path / "once").exists():
            (tmp_path / "once").touch()
            work.rename(tmp_path / "gone")
        return lock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with pipeline.exclusive(SimpleNamespace(work=work), step) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), work.stat())


def test_what_another_process_made_meanwhile_leaves_no_empty_folder(pte, tmp_path, monkeypatch):
    words = ["backbone=markov", "representation=id", "until=split"]
    assert pte(*words, "paths.store=first")[0] == 0
    lock = pipeline._lock

    def made_meanwhile(work, step):
        shutil.copytree(tmp_path / "first" / step.name, tmp_path / "second" / step.name)
        return lock(work, step)

    monkeypatch.setattr(pipeline, "_lock", made_meanwhile)
    code, streams = pte(*words, "paths.store=second")
    assert (code, streams.out.count("  found")) == (0, 2)
    assert {path.name for path in (tmp_path / "second").iterdir()} == {"interactions", "split", "runs.txt"}


def test_jobs_of_a_sweep_measure_a_language_model_once(monkeypatch, caplog):
    measured = []
    profiler = SimpleNamespace(forecast=lambda view: [f"4 minutes of {measured.append(view) or view}"])
    parts = {"dataset": SimpleNamespace(read=dict), "protocol": dict, "profiler": profiler}
    monkeypatch.setattr(pipeline, "FORECASTS", {})
    monkeypatch.setattr(pipeline, "uses_language_model", lambda config: True)
    monkeypatch.setattr(pipeline, "builder", lambda config: parts.get)
    monkeypatch.setattr(pipeline, "visible_view", lambda rows, split: "the view")
    caplog.set_level("INFO")
    for knobs, key, times in (("a", "k", 1), ("a", "k", 1), ("b", "k", 2), ("b", "l", 3)):
        steps = [SimpleNamespace(name=name, key=key, path=None) for name in ("interactions", "split", "profiles")]
        pipeline.Run.log_forecast(SimpleNamespace(config={"profiler": knobs}), steps)
        assert len(measured) == times
    assert caplog.messages == ["4 minutes of the view"] * 4
