"""The command as a person meets it: own tables to a table, second runs, mistakes, damage, interruption, sweeps."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from pte.artifact import Stored
from pte.engine.config.secret import refuse_words
from pte.engine.inference.recommend import typed
from pte.schema import InputError, Interactions, Split

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "representation=id", "backbone=sasrec", "backbone.layers=1", "backbone.fit.width=8", "backbone.inner=16",
    "backbone.heads=1", "trainer.max_epochs=2", "trainer=cpu", "logger=csv",
]  # fmt: skip


def pte(*arguments, cwd, env=None, **options):
    """Run the command in a folder of its own; a fixed hash seed would hide an order that depends on it."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PTE_DATA": "", **(env or {})}
    command = [sys.executable, "-m", "pte.run", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=280, check=False, **options
    )


def write_tables(folder, users=30, items=20, titles=True, length=8):
    """A small catalogue and shuffled interactions with string ids and times."""
    draw = random.Random(0)
    rows = [
        f"u{u},i{(u + 3 * k * k) % items},{1_000_000 + 1000 * k + u}"
        for u in range(users)
        for k in range(length if u else 1)  # the first user has a history of length one
    ]
    draw.shuffle(rows)
    (folder / "inter.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    header = "item_id,title,kind" if titles else "item_id,kind"
    lines = [f"i{i},Thing number {i},kind{i % 3}" if titles else f"i{i},kind{i % 3}" for i in range(items)]
    (folder / "items.csv").write_text("\n".join([header, *lines]) + "\n")
    return ["dataset=custom", f"dataset.interactions={folder}/inter.csv", f"dataset.items={folder}/items.csv"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run on own tables: (folder, arguments, its run folder)."""
    folder = tmp_path_factory.mktemp("own")
    arguments = [*write_tables(folder), *TINY, "hydra.run.dir=first"]
    done = pte(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    return folder, arguments, folder / "first"


def test_own_tables_end_in_a_table_and_files(finished):
    _, _, run_dir = finished
    metrics = json.loads((run_dir / "metrics.json").read_text())
    for ranking in ("masked", "unmasked"):
        hit, ndcg, mrr = (metrics[f"test/{ranking}/all/{m}@10"] for m in ("Hit", "NDCG", "MRR"))
        assert 1 >= hit >= ndcg >= mrr >= 0
        assert metrics[f"test/{ranking}/all/Recall@10"] == hit
    assert metrics["test/masked/all/n"] == 29  # the user with one interaction is no case
    for name in ("ranks.npz", "config.resolved.yaml", "report.json", "report.md", "run.log", "csv/metrics.csv"):
        assert (run_dir / name).is_file(), name
    config = yaml.safe_load((run_dir / "config.resolved.yaml").read_text())
    assert config["dataset"]["name"] == "custom"


def test_a_second_run_finds_everything_and_says_the_same(finished):
    folder, arguments, run_dir = finished
    done = pte(*arguments[:-1], "hydra.run.dir=second", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert " made in" not in done.stdout
    assert done.stdout.count("  found") == 4
    assert (folder / "second" / "metrics.json").read_bytes() == (run_dir / "metrics.json").read_bytes()


def test_plan_shows_hits_and_misses_and_does_nothing(finished):
    folder, arguments, _ = finished
    done = pte(*arguments[:-1], "plan=true", "seed=5", "hydra.run.dir=planned", cwd=folder)
    rows = [words for line in done.stdout.splitlines() if (words := line.split())[2:3] in (["hit"], ["miss"])]
    lines = {words[0]: words[2] for words in rows}
    assert lines == {"interactions": "hit", "split": "hit", "training": "miss", "metrics": "miss"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_artefact_is_made_again(finished, damage):
    folder, arguments, run_dir = finished
    file = next((folder / "outputs" / "store" / "training").glob("*/weights.safetensors"))
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    done = pte(*arguments[:-1], f"hydra.run.dir={damage}", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "is damaged or incomplete: making it again" in done.stdout
    assert (folder / damage / "metrics.json").read_bytes() == (run_dir / "metrics.json").read_bytes()


MISTAKES = {
    "unknown dataset": (["dataset=Toyz"], "dataset=Toyz: there is no such option; did you mean dataset=Toys?"),
    "mistyped option": (["backbone.layerz=3"], "layerz"),
    "mistyped stage": (["until=embedings"], "there is no such stage"),
    "missing data": (["dataset=Toys", *TINY], "PTE_DATA"),
    "own tables not named": (["dataset=custom", *TINY], "dataset.interactions"),
    "stage without parents": ([*TINY, "OWN", "stage=metrics", "seed=77"], "until=training"),
    "secret on the command line": (["+logger.wandb.api_key=abc"], "oc.env"),
    "word for a number": ([*TINY, "OWN", "trainer.batch_size=many"], "trainer.batch_size=many: give a number"),
    "no such precision": (
        [*TINY, "OWN", "representation=id", "trainer.precision=bf17"],
        "take one of 32-true, bf16-mixed",
    ),
    "figure that is not measured": ([*TINY, "OWN", "trainer.monitor=NDCG@10"], "such as masked/all/NDCG@10"),
    "foreign target": ([*TINY, "OWN", "dataset._target_=os.system"], "is not built"),
}


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_a_sentence_and_no_traceback(tmp_path, arguments, expected):
    own = write_tables(tmp_path)
    words = [w for a in arguments for w in (own if a == "OWN" else [a])]
    done = pte(*words, cwd=tmp_path)
    assert done.returncode != 0
    assert expected in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_items_file_without_titles_is_refused(tmp_path):
    done = pte(*write_tables(tmp_path, titles=False), *TINY, cwd=tmp_path)
    assert done.returncode == 2
    assert "title" in done.stderr
    assert "dataset.title" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_secret_reaches_the_run_folder(tmp_path):
    done = pte(
        *write_tables(tmp_path), *TINY, "+logger.csv.token='${oc.env:SOME_TOKEN}'", "plan=true", "hydra.run.dir=run",
        cwd=tmp_path, env={"SOME_TOKEN": "s3cr3t-value"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        assert b"s3cr3t-value" not in path.read_bytes(), path


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interruption_loses_no_finished_work(tmp_path, signum):
    words = [*write_tables(tmp_path, users=200, length=12), *TINY, "trainer.max_epochs=4000", "trainer.patience=4000"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "out").open("w") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "pte.run", *words], cwd=tmp_path, env=environ, stdout=out, stderr=out
        )
        deadline = time.monotonic() + 200
        while " epoch " not in (tmp_path / "out").read_text() and time.monotonic() < deadline:
            assert running.poll() is None, (tmp_path / "out").read_text()[-3000:]
            time.sleep(0.2)
        running.send_signal(signum)
        code = running.wait(60)
    text = (tmp_path / "out").read_text()
    assert code == (130 if signum != signal.SIGKILL else -9)
    assert "Traceback" not in text
    store = tmp_path / "outputs" / "store"
    assert len(list(store.glob("split/*/manifest.json"))) == 1
    assert not list(store.glob("training/[!.]*"))
    again = pte(*words[:-2], "trainer.max_epochs=4000", "trainer.patience=4000", "until=split", cwd=tmp_path)
    assert again.stdout.count("  found") == 2


def test_a_sweep_gives_every_job_its_folder_and_goes_on_after_a_failure(finished):
    folder, arguments, _ = finished
    done = pte("-m", *arguments[:-1], "until=split,embedings,metrics", "hydra.sweep.dir=sweep", cwd=folder)
    assert done.returncode == 1
    assert "1 job(s) of the sweep failed" in done.stderr
    assert {p.name for p in (folder / "sweep").iterdir() if p.is_dir()} == {"0", "1", "2"}
    first, failed, last = ((folder / "sweep" / job / "run.log").read_text() for job in "012")
    assert "  found" in first
    assert "ERROR: until=embedings" in failed
    assert last.count("  found") == done.stdout.count("  found") - first.count("  found")  # each line in its job's log
    assert "Traceback" not in done.stderr


def test_the_same_sweep_again_repeats_no_finished_job(finished):
    folder, arguments, run_dir = finished
    words = ["-m", *arguments[:-1], "trainer.monitor=masked/all/NDCG@10,NDCG@11", "hydra.sweep.dir=again"]
    first = pte(*words, cwd=folder)
    reason = "trainer.monitor=NDCG@11 is not measured"
    assert first.returncode == 1
    assert f"{folder}/again/1: ERROR: {reason}" in first.stderr
    assert f"ERROR: {reason}" in (folder / "again" / "1" / "run.log").read_text()
    report = json.loads((folder / "again" / "0" / "report.json").read_text())
    assert report["command"][-1] == "trainer.monitor=masked/all/NDCG@10"
    assert (folder / "again" / "0" / "metrics.json").read_bytes() == (run_dir / "metrics.json").read_bytes()
    (folder / "again" / "0" / "ranks.npz").write_bytes(b"untouched")
    second = pte(*words, cwd=folder)
    assert second.returncode == 1
    assert second.stdout.count("finished before") == 1
    assert (folder / "again" / "0" / "ranks.npz").read_bytes() == b"untouched"


def test_without_loggers_nothing_is_imported_for_them(finished):
    folder, arguments, _ = finished
    words = [w for w in arguments[:-1] if not w.startswith("logger=")]
    code = (
        f"import sys; sys.argv[1:] = {[*words, 'logger=none', 'hydra.run.dir=unlogged']!r}\n"
        "from pte.run import main\ntry: main()\nfinally: print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = done.stdout.splitlines()[-1]
    assert "'torch'" in imported
    assert "'wandb'" not in imported
    assert "'lightning'" not in imported
    assert "wandb" not in (done.stdout.lower().replace(imported.lower(), "") + done.stderr.lower())


def test_a_users_own_options_come_from_config_dir(finished):
    folder, arguments, _ = finished
    mine = folder / "mine" / "protocol"
    mine.mkdir(parents=True, exist_ok=True)
    (mine / "short.yaml").write_text("defaults: [leave_one_out]\nmin_length: 4\n")
    done = pte("--config-dir", str(folder / "mine"), *arguments[:-1], "protocol=short", "plan=true", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^split +\w{16}  miss", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "word",
    ["profiler.base_url=http://user:pw-hidden@host/v1", "logger.wandb.base_url='https://u:pw-hidden@host'",
     "+profiler.base_url=https://pw-hidden@host", "profiler.server.key_variable=sk-pwhidden0123456789",
     "dataset.licence=https://token:pw-hidden@host/x", "profiler.base_url=https://host/v1?api_key=pw-hidden",
     "dataset.licence=https://host/x?a=1&access_token=pw-hidden"],
)  # fmt: skip
def test_addresses_and_variables_that_hold_a_secret_are_refused_unrepeated(word):
    with pytest.raises(InputError) as refusal:
        refuse_words([word])
    assert "hidden" not in str(refusal.value)


def test_recommend_says_what_the_metrics_ranked(finished):
    """The lists kept with the metrics come out again for the same histories, typed by id or by title."""
    folder, _, run_dir = finished
    stored = Stored(run_dir)
    data, cases = Interactions.load(stored.path("interactions")), Split.load(stored.path("split")).test
    lists = np.load(stored.path("metrics") / "lists.npy")
    for case, names in ((0, data.items.item_id), (7, data.items.item_id)):
        history = data.item[data.start[cases.user[case]] : cases.target[case]]
        done = pte("recommend", "first", "--history", "; ".join(names[i] for i in history), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == [names[i] for i in lists[case]]
    assert typed(data, "Thing number 19; i3") == [data.items.item_id.index(name) for name in ("i19", "i3")]
    for words, output in (
        ("Thing", "20 items are called Thing"),
        (" ; ", "type titles"),
        ("Zzz", "no item is called Zzz"),
    ):
        with pytest.raises(InputError, match=output):
            typed(data, words)
    with pytest.raises(InputError, match="no user has the id nobody"):
        data.find_user("nobody")
