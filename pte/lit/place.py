"""Where a loader is: its epoch and the step to begin at, and the seeds that go with them. Light to import."""

from __future__ import annotations

from typing import Self

import numpy as np


class Place:
    """A loader that inherits it orders each epoch as a function of `epoch`, and begins the next at step `start`, once.

    Lightning announces every epoch to a loader's sampler, which the loader is itself, and keeps and hands back its
    state with a checkpoint.
    """

    epoch = 0
    start = 0  # the step to begin at
    done = 0  # steps of this epoch that are trained, which may be fewer than were handed out

    @property
    def sampler(self) -> Self:
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.start = self.done = state_dict["done"]

    def begin_epoch(self) -> int:
        """The first step to hand out."""
        start, self.start = self.start, 0
        return start


def step_seed(*numbers: int) -> int:
    """A seed for what one step draws, from whatever tells steps apart: (seed, epoch, step, process).

    As many numbers for all that shall differ: numpy takes missing ones for zeros.
    """
    return int(np.random.default_rng(numbers).integers(2**63))
