"""Facts about where an artefact was made, for its manifest: never part of a key."""

from __future__ import annotations

import contextlib
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pte import __version__

RAPL = Path("/sys/class/powercap")
PACKAGES = ("torch", "lightning", "transformers", "sentence-transformers", "numpy", "polars", "hydra-core")


@cache
def commit() -> str | None:
    """Git commit of a checkout, None for an installed package. "-dirty": code or configuration differs from it.

    Files that git does not know count too, since a new module changes what a run computes; texts and evidence do not.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head, changed = (
            subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=10, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "pte", "conf", "pyproject.toml"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.strip() + ("-dirty" if changed else "")


def facts() -> dict[str, Any]:
    """Versions, platform and commit."""
    versions: dict[str, str | None] = {"pte": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {"versions": versions, "platform": platform.platform(), "commit": commit()}


def gpu(elsewhere: bool = False) -> str | None:
    """The name of the GPU that this process has used, or that processes it started (`elsewhere`) have; None: a CPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not (elsewhere or torch.cuda.is_initialized()):
        return None
    return str(torch.cuda.get_device_name())


def energy_joules(began: Mapping[Path, int]) -> float | None:
    """What the processors have used since `energy` was read, everything that ran on them counted; None: no counter."""
    used = 0
    for zone, now in energy().items():
        turn = int((zone / "max_energy_range_uj").read_text()) + 1  # the counter starts anew there
        used += (now - began.get(zone, now)) % turn
    return used / 1e6 if began else None


def energy() -> dict[Path, int]:
    """Microjoules of every processor package that says so to this user: Linux powercap, Intel's and AMD's RAPL."""
    counter = {}
    for zone in RAPL.glob("intel-rapl:*"):
        with contextlib.suppress(OSError, ValueError):
            if zone.name.count(":") == 1:  # a package; further ones are parts of it
                counter[zone] = int((zone / "energy_uj").read_text())
    return counter


def peak_memory_mib() -> int:
    """Largest resident memory of this process so far, in MiB (Linux counts KiB, macOS bytes)."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
