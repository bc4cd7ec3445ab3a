"""Every generation behind the profiles: one row each, in Parquet parts that are read one after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from pte.schema.texts import ByPlace

PART = "generations-*.parquet"
ROWS = 8192  # of one part: some 20 MB in memory


@dataclass(frozen=True)
class Generation:
    """One generation: the prompt, the raw completion, and the profile read out of it."""

    side: str  # "user" or "item"
    entity: int  # user 0..U-1 or item 1..N
    round: int  # closed-loop round, from 0
    candidate: int  # 0..K-1
    form: str  # which prompt form or template
    temperature: float  # 0 where no sampling took place
    prompt: str  # "" where no prompt was needed (metadata)
    completion: str
    text: str  # the profile
    parsed: bool  # False where the completion was unusable and a fallback stands in
    finish: str = ""  # why the completion ended: stop, length (cut at the token limit) ...; "" where it is not known
    attempt: int = 0  # 1 where the first answer was faulty, and this is the second
    fault: str = field(default="", compare=False)  # what is wrong with the answer (pte/profiler/text/fault.py)
    retried: str = field(default="", compare=False)  # what was wrong with the first one, where there is a second
    tokens: int = field(default=0, compare=False)  # new ones of the answer
    prompt_tokens: int = field(default=0, compare=False)  # where an engine counts them


class Generations(ByPlace[Generation]):
    """What `GenerationWriter` wrote, in its order, one part of it in memory."""

    def __init__(self, folder: Path) -> None:
        import polars as pl

        self.folder, self.parts = folder, sorted(folder.glob(PART))
        self.rows = [pl.scan_parquet(part).select(pl.len()).collect().item() for part in self.parts]

    def __len__(self) -> int:
        return sum(self.rows)

    def __iter__(self) -> Iterator[Generation]:
        import polars as pl

        for part in self.parts:
            yield from (Generation(*row) for row in pl.read_parquet(part).iter_rows())

    def _one(self, place: int) -> Generation:
        import polars as pl

        for part, rows in zip(self.parts, self.rows, strict=True):
            if place < rows:
                return Generation(*pl.read_parquet(part).row(place))
            place -= rows
        raise IndexError(place)


class GenerationWriter:
    """Appends generations to the parts of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.parts = folder, 0
        self.waiting: list[Generation] = []
        for part in folder.glob(PART):
            part.unlink()

    def append(self, generation: Generation) -> None:
        self.waiting.append(generation)
        if len(self.waiting) >= ROWS:
            self._write()

    def extend(self, generations: Iterable[Generation]) -> None:
        for generation in generations:
            self.append(generation)

    def close(self) -> Generations:
        """Everything that was appended."""
        if self.waiting or not self.parts:
            self._write()
        return Generations(self.folder)

    def _write(self) -> None:
        import polars as pl

        kinds: dict[str, Any] = {"str": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}
        schema = {name: kinds[str(kind)] for name, kind in Generation.__annotations__.items()}
        frame = pl.DataFrame(list(map(attrgetter(*schema), self.waiting)), schema=schema, orient="row")
        frame.write_parquet(self.folder / PART.replace("*", f"{self.parts:05}"))
        self.waiting, self.parts = [], self.parts + 1
