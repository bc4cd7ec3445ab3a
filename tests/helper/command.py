"""Tables of a size that can be followed by hand, for tests that run the whole command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pte import run

ITEMS = "item_id,title,brand\n" + "".join(f"{n},Title {n},Maker{n % 3}\n" for n in range(1, 9))
ROWS = "user_id,item_id,timestamp\n" + "".join(
    f"u{u},{1 + (3 * u + k * k) % 8},{1600000000 + 100 * u + k}\n" for u in range(12) for k in range(6)
)


def write_eight(folder: Path) -> list[str]:
    """Eight items and twelve users of six rows, and the words that name them from within the folder."""
    for name, content in (("inter.csv", ROWS), ("items.csv", ITEMS)):
        (folder / name).write_text(content)
    return ["dataset=custom", "dataset.interactions=inter.csv", "dataset.items=items.csv"]


@pytest.fixture
def pte(tmp_path, monkeypatch, capfd):
    """The command, in this process: `pte(*words)` gives exit status and both streams."""
    own = [*write_eight(tmp_path), "logger=none"]
    monkeypatch.chdir(tmp_path)

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["pte", *own, *words])
        with pytest.raises(SystemExit) as left:
            run.main()
        return left.value.code, capfd.readouterr()

    return command


def sentence(err: str) -> str:
    """What follows "ERROR: " in what was printed, which is nothing else."""
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("ERROR: ")
    return lines[0].removeprefix("ERROR: ")
