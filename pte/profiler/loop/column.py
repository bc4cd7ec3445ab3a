"""One text per entity, read at random: in a list, in files, or made on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pte.schema.texts import ByPlace, Texts, TextWriter


class Lazy(ByPlace[str]):
    """Texts that follow from an entity's number."""

    def __init__(self, text: Callable[[int], str], size: int) -> None:
        self.text, self.size = text, size

    def _one(self, place: int) -> str:
        return self.text(place)

    def __len__(self) -> int:
        return self.size


class OnDisk(ByPlace[str]):
    """Texts in files, one per entity."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def _one(self, place: int) -> str:
        return self.texts[place][0]

    def __len__(self) -> int:
        return len(self.texts)


class Column:
    """Appends one text after another: to a list, or to files in `folder`."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.to: list[str] | TextWriter = [] if folder is None else TextWriter(folder, name, 1)

    def append(self, text: str) -> None:
        if isinstance(self.to, list):
            self.to.append(text)
        else:
            self.to.append([text])

    def close(self) -> Sequence[str]:
        """Everything that was appended."""
        return self.to if isinstance(self.to, list) else OnDisk(self.to.close())
