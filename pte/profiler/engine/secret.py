"""Keys of servers: read from the environment alone, and shown in no message, log, file or traceback."""

from __future__ import annotations

import json
import os
import re
import urllib.parse

from pte.schema import InputError

LOCAL = ("localhost", "127.0.0.1", "::1")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KEY = re.compile(
    r"(?:sk|pk|rk|hf|gsk|xai|ghp|gho|glpat|nvapi|key|api)[_-]?[A-Za-z0-9]{12,}|AIza\w{10,}|AKIA[A-Z0-9]{16}"
)


def check_variable(name: str) -> None:
    """Refuse what is no name of a variable, or looks like the key itself; it is not repeated in the message."""
    mixed = len(name) >= 20 and re.search(r"[a-z]", name) and re.search(r"\d", name)
    if not _NAME.fullmatch(name) or _KEY.match(name) or mixed:
        raise InputError(
            "profiler.server.key_variable must be the NAME of an environment variable, as OPENAI_API_KEY; what was"
            " typed is not one and is not repeated here. If it was the key itself, your shell's history may hold it:"
            " revoke it"
        )


def read_key(variable: str) -> str:
    """The key, blanks at its ends stripped, or "" where the variable is not set."""
    key = os.environ.get(variable, "").strip()
    if re.search(r"[^\x21-\x7e]", key):
        raise InputError(f"${variable} holds a blank, line break or non-ASCII letter inside the key: set it again")
    return key


def check_url(url: str) -> urllib.parse.SplitResult:
    """The parts of a server's address; one with a user, password, query or fragment is refused and not repeated."""
    try:
        parts = urllib.parse.urlsplit(url)
        plain = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not re.search(r"\s", url)
    except ValueError:
        plain = False
    if not plain:
        raise InputError("profiler.base_url is no address of a server: type it as http://localhost:8000/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            "profiler.base_url holds a user, password or query, which would be written into files: type the address"
            " alone, and put the key into the environment variable that profiler.server.key_variable names"
        )
    return parts


def mask(text: str, key: str) -> str:
    """A server's words without the key, and without anything that looks like one."""
    for form in {key, urllib.parse.quote(key, safe=""), json.dumps(key)[1:-1]} - {""}:
        text = text.replace(form, "***")
    return _KEY.sub("***", text)
