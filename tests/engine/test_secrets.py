"""No secret of ten shapes in any stream or file of any command; one that is exported comes out as ***."""

from __future__ import annotations

import sys

import pytest
from helper.command import write_eight

from pte import run

SHAPES = [
    "api_key=pw-hushed-1", "profiler.base_url=http://user:pw-hushed@host/v1", "x=Bearer pw-hushed-0123",
    "profiler.headers.Authorization=pw-hushed-value", "dataset.licence=https://host/x?access_token=pw-hushed",
    "note=hf_pw-hushed0123456789abc", "profiler.server.key_variable=sk-pw-hushed0123456789",
    "logger.wandb.password=pw-hushed",
    "url=https://host/x?a=1&sig=pw-hushed", "session.cookie=pw-hushed",
    "dataset.name=npm_hushed0123456789", "dataset.name=ya29.hushed01234567",
    'dataset.licence="-----BEGIN RSA PRIVATE KEY-----hushed"',
    "profiler.base_url=https://pw-hushed@host/v1", "x=https://host/?auth=pw-hushed",
    "x=https://host/?a=1&pwd=pw-hushed",
    "+profiler.headers.X-Auth=pw-hushed", "+profiler.key=pw-hushed", "backbone={password:pw-hushed}",
    "x={a:1,'api_key':pw-hushed}", "profiler.api_key=${oc.env:NOBODY,pw-hushed}", "logger.wandb.name=pplx-hushed012345",
    "logger.wandb.tags=[tvly-hushed012345678]", "dataset.name=hushed-exported-value",
]  # fmt: skip
COMMANDS = [
    [], ["plan=true"], ["stage=report"], ["-m", "seed=0,1"], ["compare", "outputs"], ["leaderboard", "outputs"],
    ["show", "outputs", "item"], ["export", "profiles", "outputs", "--format"], ["recommend", "outputs", "--history"],
    ["list"], ["clean"], ["serve", "outputs", "--port"], ["-m", "plan=true"], ["--help"], ["until=profiles"],
]  # fmt: skip


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    own = write_eight(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANY_SERVICE_KEY_TOKEN", "hushed-exported-value")

    def typed(*words, data=False):
        monkeypatch.setattr(sys, "argv", ["pte", *(own if data else []), *words])
        with pytest.raises(SystemExit) as left:
            run.main()
        streams = capfd.readouterr()
        assert "hushed" not in streams.out + streams.err
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or b"hushed" not in file.read_bytes(), file
        return left.value.code, streams

    return typed


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "run")
def test_a_typed_secret_is_refused_by_every_command(words, command, tmp_path):
    for shape in SHAPES:
        code, streams = command(*words, shape)
        assert code == 2, shape
        assert streams.err.count("ERROR: ") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_an_exported_secret_is_in_no_file_of_a_run_logged_offline(command, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_TOKEN", "pw-hushed-value")
    monkeypatch.setenv("WANDB_API_KEY", "hushed" * 6 + "0123")
    words = ["backbone=markov", "representation=id", "logger=wandb", "logger.wandb.mode=offline"]
    code, _ = command(*words, "+logger.wandb.notes='${oc.env:SOME_TOKEN}'", data=True)
    assert code == 0
    assert list(tmp_path.rglob("*.wandb"))
    run = str(next(tmp_path.rglob("report.json")).parent)
    done = [["compare", run, run], ["show", run, "item", "Title 1"], ["recommend", run, "--user", "u1"],
            ["leaderboard", "outputs"], ["clean"]]  # fmt: skip
    refused = [["export", "profiles", run], ["serve", run, "--port", "x"]]  # it has no profiles; x is no number
    for words in [*done, *refused]:
        assert command(*words)[0] == (2 if words in refused else 0), words
    code, streams = command("list")
    assert code == 0
    assert "backbone=markov" in streams.out


def test_an_exception_that_quotes_a_secret_is_masked(command, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_TOKEN", "word-hushed")

    def fail(*_):
        raise OSError("https://user:pw-hushed@host answered word-hushed")

    monkeypatch.setattr("pte.run._measured", fail)
    code, streams = command("backbone=markov", "representation=id", "logger=none", data=True)
    assert code == 1
    assert "OSError: https://***@host answered ***" in streams.err
    assert "OSError: https://***@host answered ***" in next(tmp_path.rglob("run.log")).read_text()
