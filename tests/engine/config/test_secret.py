"""What a knob's name says of its value: secrets are named, numbers of tokens are not."""

import pytest

from pte.engine.config.secret import NAME


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
