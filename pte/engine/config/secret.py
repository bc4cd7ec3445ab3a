"""Secrets in a configuration: refused before Hydra writes it to disk, masked in what is written and printed.

Looked at are names (api_key, token, Authorization ...), addresses with a user or a telling parameter, and values that
look like a key of a known service. A value that is read from the environment, ${oc.env:NAME}, stays unresolved in
Hydra's files and passes. No message repeats a value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pte.profiler.engine.secret import check_variable
from pte.schema import InputError
from pte.schema.knob import leaves

_WORD = (  # max_tokens and its like are numbers of them
    r"(?:(?:api|access|private|secret|auth|account|subscription)[_-]?key|token(?!s)|(?<!max_)(?<!new_)(?<!budget_)(?<!batched_)token"
    r"|secret|passw(?:or)?d|passphrase|credential)s?"
)
_NAME = rf"(?:{_WORD}|authorization|auth|bearer|cookie|jwt)"
_PARAMETER = rf"[?&#][\w-]*(?:{_NAME}|key|sig|signature|pass|pwd)="
NAME = re.compile(rf"(?:{_NAME}|\.(?:key|pass|pwd))$", re.IGNORECASE)
VARIABLE = re.compile(rf"{NAME.pattern}|_(?:pass|pwd|pat|key)$", re.IGNORECASE)  # OPENAI_KEY, GITHUB_PAT
INNER = re.compile(rf"[{{,]\s*['\"]?(?:[\w.-]*{_NAME}|pass|pwd)['\"]?\s*:", re.IGNORECASE)  # a name in {...}
URL = re.compile(rf"\w+://(?:[^/@\s]+@|\S*{_PARAMETER})", re.IGNORECASE)  # a user name, or a parameter named so
PARAMETER = re.compile(rf"({_PARAMETER})[^&#\s]+", re.IGNORECASE)
USER = re.compile(r"(\w+://)[^/@\s]+@")
VALUE = re.compile(
    r"\bbearer\s+[\w.~+/-]{8,}|\bbasic\s+(?=\S*(?-i:[0-9A-Z]))[\w.~+/-]{8,}"
    r"|\b(?:sk|pk|rk|hf|r8|gsk|csk|xai|pplx|tvly|wandb|lsv2|tgp|dop|gh[oprsu]|github_pat|glpat|nvapi|npm|pypi|dckr_pat|xox[abprs])[-_](?=[\w-]*\d)[\w-]{12,}"
    r"|\bA[KS]IA[A-Z0-9]{16}\b|\bAIza[\w-]{20,}|\beyJ[\w-]{10,}\.[\w-]{10,}|\bya29\.[\w-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.IGNORECASE,
)
ENVIRONMENT = re.compile(r"\$\{oc\.env:\w+(?:,\s*(?:null|''|\"\")?\s*)?\}")  # with no value of its own beside the name


def refuse(name: str, value: Any) -> None:
    """InputError where a value, or the name it goes by, is that of a secret."""
    given = str(value).strip("'\"")
    if value is None or given in ("", "null") or ENVIRONMENT.fullmatch(given):
        return
    if name.startswith("profiler.") and name.endswith(".key_variable"):
        check_variable(given)
    if URL.search(given):
        raise InputError(
            f"{name}: an address with a user name or a secret would be recorded in the run folder: leave it out"
        )
    if VALUE.search(given):
        raise InputError(f"{name}: what looks like a key would be recorded in the run folder: leave it out")
    if any(exported in given for exported in _exported()):
        raise InputError(f"{name}: it holds what a variable of the environment says is a secret, and would be recorded")
    if NAME.search(name) and not isinstance(value, bool | int | float | Mapping):
        raise InputError(
            f"{name}=... would be recorded in the run folder: export it as NAME and give '{name}=${{oc.env:NAME}}'"
        )


def refuse_words(words: Iterable[str]) -> None:
    """The same for overrides as they were typed."""
    for word in words:
        name, separator, value = word.lstrip("+~").partition("=")
        if separator:
            refuse(name, value)
            if INNER.search(value):
                raise InputError(f"{name}: a secret in it would be recorded in the run folder: leave it out")
        elif URL.search(word) or VALUE.search(word):
            raise InputError("a word of the command holds a secret: leave it out")


def refuse_resolved(config: DictConfig, tree: Mapping[str, Any]) -> None:
    """InputError where `--cfg job --resolve` would print what a knob takes from the environment and nobody may see."""
    for name, value in leaves(tree):
        if "${oc.env:" in str(value):
            given = str(OmegaConf.select(config, name, throw_on_resolution_failure=False))
            if redacted(given, name) != given:
                raise InputError(
                    f"--resolve would print the secret that {name} takes from the environment: leave it out"
                )


def redacted(value: Any, key: str = "") -> Any:
    """A copy of a config in which secrets, as far as they can be recognised, are replaced by "***"."""
    if isinstance(value, Mapping):
        return {k: redacted(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(v, key) for v in value]
    if isinstance(value, str):
        for exported in _exported():
            value = value.replace(exported, "***")
        masked = PARAMETER.sub(r"\1***", VALUE.sub("***", USER.sub(r"\1***@", value)))
        return "***" if NAME.search(key) and value else masked
    return value


def _exported() -> list[str]:
    """The values of environment variables that are named like a secret, the longest first."""
    secrets = {value.strip() for name, value in os.environ.items() if _secret_name(name) and not _is_word(name, value)}
    return sorted((value for value in secrets if len(value) >= 8), key=len, reverse=True)


def _is_word(name: str, value: str) -> bool:
    """Whether a variable whose name says no more than KEY holds a name, as SORT_KEY=timestamp does."""
    return not NAME.search(name) and name.lower().endswith("_key") and bool(re.fullmatch(r"[a-z_]+", value.strip()))


@cache
def _secret_name(name: str) -> bool:
    """Whether a variable is named like a secret; asked for each of them at every value of a configuration."""
    return bool(VARIABLE.search(name))
