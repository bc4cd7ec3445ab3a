"""Tables of a size that can be followed by hand, for tests that run the whole command."""

from __future__ import annotations

from pathlib import Path

ITEMS = "item_id,title,brand\n" + "".join(f"{n},Title {n},Maker{n % 3}\n" for n in range(1, 9))
ROWS = "user_id,item_id,timestamp\n" + "".join(
    f"u{u},{1 + (3 * u + k * k) % 8},{1600000000 + 100 * u + k}\n" for u in range(12) for k in range(6)
)


def write_eight(folder: Path) -> list[str]:
    """Eight items and twelve users of six rows, and the words that name them from within the folder."""
    for name, content in (("inter.csv", ROWS), ("items.csv", ITEMS)):
        (folder / name).write_text(content)
    return ["dataset=custom", "dataset.interactions=inter.csv", "dataset.items=items.csv"]


def sentence(err: str) -> str:
    """What follows "ERROR: " in what was printed, which is nothing else."""
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("ERROR: ")
    return lines[0].removeprefix("ERROR: ")
