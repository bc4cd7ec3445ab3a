"""What a knob's name says of its value: secrets are named, numbers of tokens are not."""

import sys

import pytest
from omegaconf import OmegaConf

from pte import run
from pte.engine.config.secret import NAME, VARIABLE, redacted, refuse_resolved
from pte.schema import InputError


@pytest.mark.parametrize(
    "name",
    ["token", "renew_token", "NEW_TOKEN", "access_tokens", "hf_token", "api_key", "x-auth", "a.key", "a.pwd", "jwt"],
)
def test_a_secret_by_its_name(name):
    assert NAME.search(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "max_new_tokens",
        "budget_tokens",
        "max_num_batched_tokens",
        "tokenizer",
        "PWD",
        "OLDPWD",
        "item_key",
        "author",
        "compass",
    ],
)
def test_a_number_of_tokens_is_no_secret(name):
    assert not NAME.search(name)


@pytest.mark.parametrize("name", ["OPENAI_KEY", "GITHUB_PAT", "DB_PASS", "DB_PWD", "WANDB_API_KEY", "a_token"])
def test_a_variable_that_holds_a_secret(name, monkeypatch):
    assert VARIABLE.search(name)
    monkeypatch.setenv(name, "word-hushed")
    assert redacted("answered word-hushed to all") == "answered *** to all"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "KEYBOARD", "MONKEY", "COMPASS", "PATH"])
def test_a_variable_that_holds_none(name):
    assert not VARIABLE.search(name)


def test_a_key_that_names_a_column_is_no_secret(monkeypatch):
    monkeypatch.setenv("SORT_KEY", "timestamp")
    monkeypatch.setenv("DB_PASS", "timestamped")
    monkeypatch.setenv("OPENAI_KEY", "sk_live_51hush")
    assert redacted("by timestamp, not timestamped, sk_live_51hush") == "by timestamp, not ***, ***"


def test_resolve_prints_no_secret(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "word-hushed")
    monkeypatch.setenv("PLACE", "https://user:word-hushed@host")
    monkeypatch.setenv("SEED", "5")
    for value in ("${oc.env:SOME_TOKEN}", "${oc.env:PLACE}", "the ${oc.env:SOME_TOKEN}"):
        tree = {"seed": "${oc.env:SEED}", "logger": {"notes": value}}
        with pytest.raises(InputError, match=r"print the secret that logger\.notes takes"):
            refuse_resolved(OmegaConf.create(tree), tree)
    tree = {"seed": "${oc.env:SEED}", "other": "${oc.env:NOBODY}", "all": "${seed}"}
    refuse_resolved(OmegaConf.create(tree), tree)


def test_a_traceback_of_a_reading_command_repeats_no_secret(monkeypatch, capsys):
    def fail(words):
        raise KeyError("https://user:word-hushed@host")

    monkeypatch.setattr("pte.report.store.list.main", fail)
    monkeypatch.setattr(sys, "argv", ["pte", "list"])
    with pytest.raises(SystemExit) as left:
        run.main()
    assert left.value.code == 1
    assert "KeyError: 'https://***@host'" in capsys.readouterr().err
