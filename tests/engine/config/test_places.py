"""A file where a folder is asked for, a full disk, and lists of ten on few items: reported, or met."""

from __future__ import annotations

import errno
import io
import os
import sys
from types import SimpleNamespace

import pytest
from helper.command import sentence

from pte import run
from pte.paths import unusable

MARKOV = ["backbone=markov", "representation=id"]


@pytest.fixture
def finished(pte, monkeypatch, capfd):
    """`finished(*words)`: a command on a finished run."""
    assert pte(*MARKOV, "hydra.run.dir=outputs/run/one")[0] == 0

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["pte", *words])
        with pytest.raises(SystemExit) as left:
            run.main()
        return left.value.code, capfd.readouterr()

    return command


def test_a_file_in_a_folders_place_is_reported_by_every_command(finished):
    for words in (["compare", "outputs/run/one", "--out"], ["compare", "outputs/run/one", "--figures"],
                  ["leaderboard", "outputs", "--out"]):  # fmt: skip
        code, streams = finished(*words, "inter.csv")
        assert code == 2
        assert "inter.csv: " in sentence(streams.err)


@pytest.mark.parametrize(
    "mistake",
    ["paths.outputs=", "paths.outputs=null", "paths.store=null", "paths.store=' '", "hydra.run.dir=",
     "optimizer.lr=null", "optimizer.betas=null", "reward.weights.distinct=null", "seed=0,1",
     "paths.outputs='~nosuchuser/x'", "dataset.interactions='~nosuchuser/x'"],
)  # fmt: skip
def test_nothing_is_no_place_and_no_number(mistake, pte, tmp_path):
    code, streams = pte("backbone=sasrec", "profiler=template", "representation=llm_only", mistake, "plan=true")
    assert code == 2
    assert mistake.partition("=")[0] in sentence(streams.err)
    assert {path.name for path in tmp_path.iterdir()} <= {"inter.csv", "items.csv", "outputs"}


@pytest.mark.parametrize("knob", ["paths.outputs", "paths.store", "hydra.run.dir"])
@pytest.mark.parametrize(
    "place", ["nowhere", "nowhere/x", "loop", "loop/x", "/proc/x", "/sys/x", "/dev/null/x", "/dev/fd/x", "a" * 300]
)
def test_a_place_that_no_folder_can_be_made_in(knob, place, pte, tmp_path):
    for name, target in (("nowhere", "not_there"), ("loop", "loop2"), ("loop2", "loop")):
        (tmp_path / name).symlink_to(target)
    before = set(tmp_path.iterdir())
    code, streams = pte(*MARKOV, f"{knob}={place}", "plan=true")
    assert code == 2
    assert sentence(streams.err).startswith(f"{knob}={place}: nothing can be written there (")
    assert set(tmp_path.iterdir()) == before


def test_recommendations_are_as_many_as_there_are(finished):
    code, streams = finished("recommend", "outputs/run/one", "--user", "u1")
    assert code == 0
    assert 1 < len(streams.out.splitlines()) < 10
    assert finished("recommend", "outputs/run/one", "--user", "u1", "--count", "10")[0] == 2


FULL = [  # as Python, NumPy, torch, Polars and SQLite tell of it; a process of a group, in words
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    OSError("100000 requested and 16352 written"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    RuntimeError("OSError: [Errno 28] No space left on device"),
    ValueError("parquet: underlying IO error: No space left on device (os error 28)"),
    ValueError("database or disk is full"),
]  # fmt: skip


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_disk_that_takes_no_more_is_reported_with_the_folder_and_what_is_free(pte, monkeypatch, tmp_path, error):
    def fail(*_):
        raise error

    usage = SimpleNamespace(free=3 << 19)
    monkeypatch.setattr("pte.stage.interactions.run", fail)
    monkeypatch.setattr("pte.paths.shutil.disk_usage", lambda place: usage)
    code, streams = pte(*MARKOV, "paths.store=store")
    assert code == 2
    assert sentence(streams.err) == (
        f"{tmp_path}/store could not be written to its end, and 1.5 MiB are free on its disk: free more, or name"
        " another place (paths.store=FOLDER)"
    )


def test_a_file_that_is_named_is_reported_and_the_folder_with_least_space_where_none_is(tmp_path, monkeypatch):
    folders = {"one": tmp_path / "one", "other": tmp_path / "other"}
    free = {tmp_path / "one": 5 << 20, tmp_path / "other": 2 << 20}
    monkeypatch.setattr("pte.paths.shutil.disk_usage", lambda place: SimpleNamespace(free=free.get(place, 5 << 20)))
    error = OSError(errno.ENOSPC, "full")
    assert unusable(error, folders).startswith(f"{tmp_path / 'other'} could not be written to its end, and 2.0 MiB")
    error.filename = "source"
    error.filename2 = str(tmp_path / "one" / "copy")  # as shutil.copyfile says it
    sentence = unusable(error, folders)
    assert sentence.startswith(f"{tmp_path / 'one' / 'copy'} could")
    assert sentence.endswith("(one)")


@pytest.mark.parametrize(
    ("words", "place"), [(["--out", "full"], "full"), (["--out=full/x"], "full/x"), (["--out"], ""), (["R"], "")]
)
def test_a_full_disk_of_a_reader_of_runs_is_that_of_its_output(monkeypatch, tmp_path, capsys, words, place):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pte", "export", "profiles", *words])
    monkeypatch.setattr("pte.report.inspect.export.main", fail)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as left:
        run.main()
    said = sentence(capsys.readouterr().err)
    assert left.value.code == 2
    assert said.startswith(f"{tmp_path / place} could not be written to its end")
    assert said.endswith("(--out FOLDER)")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_place_that_cannot_be_used_is_reported(pte, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number), "store/x")

    monkeypatch.setattr("pte.stage.interactions.run", fail)
    code, streams = pte(*MARKOV)
    assert code == 2
    assert sentence(streams.err).startswith(f"store/x: {os.strerror(number)}")


def test_a_disk_without_room_for_a_run_folder_is_reported_before_hydra_writes_there(pte, monkeypatch, tmp_path):
    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: Full())
    code, streams = pte(*MARKOV, "hydra.run.dir=run")
    assert code == 2
    assert "nothing can be written there (No space left on device)" in sentence(streams.err)
    assert not (tmp_path / "run").exists()
