"""Threads of products on a CPU: as many as there are cores that other processes leave free.

Threads that share a product wait for one another at its end. Beside other work one of them is without a core for some
milliseconds at a time, many times what a small product takes: then one thread alone is faster than two. Measured on two
busy cores, 30 layers of a decoder's products (width 576): 2.3 steps a second by one thread and 0.4 by two for 16 rows,
0.8 and 0.2 for 128. OMP_NUM_THREADS in the environment settles the number; so does a system without /proc/stat.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

LOOK_SECONDS = 1.0  # between two looks at the cores
SPARE = 0.75  # of a core that must be free for one more thread


@dataclass(frozen=True)
class Clocks:
    """Seconds: of the day, that all cores were busy, that they were so for this process."""

    now: float
    busy: float
    own: float


def read_clocks() -> Clocks | None:
    """As the kernel counts them (man 5 proc_stat); None where it does not."""
    try:
        user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    except (OSError, ValueError):
        return None
    busy = (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    return Clocks(time.monotonic(), busy, time.process_time())


def free_cores(before: Clocks, after: Clocks, cores: int) -> float:
    """How many cores other processes left between two moments."""
    others = (after.busy - before.busy) - (after.own - before.own)
    return cores - max(others, 0.0) / (after.now - before.now)


class Threads:
    """How many torch works with within `fitted`: torch's own number at most."""

    def __init__(self, *, settled: bool | None = None, read: Callable[[], Clocks | None] = read_clocks) -> None:
        """settled: whether the number is left as it is (None: where the environment says so)."""
        self.settled = "OMP_NUM_THREADS" in os.environ if settled is None else settled
        self.read, self.most = read, 1
        self.last = None if self.settled else read()

    @contextmanager
    def fitted(self) -> Iterator[None]:
        """As many as there are free cores; before and afterwards as it was."""
        self.most = torch.get_num_threads()
        try:
            self.fit()
            yield
        finally:
            self._take(self.most)

    def fit(self) -> None:
        """Look at the cores again, where the last look is long enough ago."""
        if self.last is None or time.monotonic() - self.last.now < LOOK_SECONDS:
            return
        before, self.last = self.last, self.read()
        if self.last is not None:
            free = free_cores(before, self.last, os.cpu_count() or 1)
            self._take(min(max(int(free + 1 - SPARE), 1), self.most))

    def _take(self, number: int) -> None:
        if number != torch.get_num_threads():
            torch.set_num_threads(number)
