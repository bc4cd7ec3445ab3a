"""A headless Chromium, driven over a pipe by its DevTools protocol: needs the browser and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60.0


class Page:
    """One open page: scripts run in it, what it logged as an error, and what it asked for."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._number, self._buffer = 0, b""
        self._session: str | None = None
        self.errors: list[str] = []
        self.requests: list[str] = []

    def open(self, url: str, width: int = 1200, height: int = 900) -> None:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.size(width, height)
        self.errors, self.requests = [], []
        self._call("Page.navigate", url=url)
        self.until('location.href !== "about:blank" && document.readyState === "complete"')

    def size(self, width: int, height: int) -> None:
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def run(self, code: str) -> Any:
        """The value of an expression, of a promise once it is fulfilled."""
        found = self._call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait for an expression to be true; its value."""
        end = time.monotonic() + SECONDS
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"not within {SECONDS:.0f} s: {condition}; errors: {self.errors}"
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        data = self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has gone"
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        event = json.loads(text)
        self._note(event.get("method"), event.get("params", {}))
        return event

    def _note(self, method: str | None, about: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(about["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.errors.append(json.dumps(about["args"])[:500])
        elif method == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"][:100])


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with an empty profile, ended with the block."""
    assert CHROMIUM
    (far_in, mine_out), (mine_in, far_out) = os.pipe(), os.pipe()

    def place() -> None:  # DevTools reads from descriptor 3 and answers on 4
        first, second = os.dup(far_in), os.dup(far_out)
        os.dup2(first, 3)
        os.dup2(second, 4)
        os.set_inheritable(3, True)
        os.set_inheritable(4, True)

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [CHROMIUM, *options, "--remote-debugging-pipe"],
        preexec_fn=place, close_fds=False, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(far_in)
    os.close(far_out)
    try:
        yield Page(mine_in, mine_out)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(mine_in)
        os.close(mine_out)
