"""Loaders of tensors: training sequences packed without padding, evaluation cases grouped by length. No item is touched
one by one, and no worker process is needed.

Every process works out the same order of all sequences, a pure function of (seed, epoch), and takes its share of each
step; so a run on any number of processes sees the same steps, and a resumed run continues where it was. Evaluation
cases are shared out without padding or repetition: case i of the sorted cases goes to process i mod world.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pte.nn.batch import History, PackedBatch, pack
from pte.schema import Cases, InputError, Interactions, Split
from pte.train.check import NO_PAIR

PLACES = 512  # a row of so many is cheap to attend over, whatever the data
_BLOCK = 256  # steps packed at a time: bounds the memory of a large epoch, and keeps the packing in long arrays


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
    """A seed for what one step draws, from all that identifies it: (seed, epoch, step, process).

    All seeds that must differ take equally many numbers: numpy pads missing ones with zeros.
    """
    return int(np.random.default_rng(numbers).integers(2**63))


@dataclass(frozen=True)
class EvaluationBatch:
    """B evaluation cases: history, target, and the exclusion of a masked ranking."""

    history: History  # at most L items
    target: Tensor  # (B,) int64
    exclusion: Tensor  # (B, S) int64, items of the whole history, padded with 0
    case: Tensor  # (B,) int64, which case of the split each row is

    def to(self, device: torch.device, non_blocking: bool = False) -> EvaluationBatch:
        target, exclusion, case = (
            t.to(device, non_blocking=non_blocking) for t in (self.target, self.exclusion, self.case)
        )
        return EvaluationBatch(self.history.to(device, non_blocking), target, exclusion, case)

    def scored(self, parts: Iterable[Tensor]) -> Iterator[tuple[EvaluationBatch, Tensor]]:
        """The next rows of the batch with each part of a backbone's scores (b, N): all rows once, in order."""
        begin = 0
        for scores in parts:
            rows = slice(begin, begin := begin + len(scores))
            history = self.history.rows(rows)
            yield EvaluationBatch(history, self.target[rows], self.exclusion[rows], self.case[rows]), scores
        if begin != len(self.case):
            raise AssertionError(f"{begin} rows of scores for {len(self.case)} cases")


class TrainingLoader(Place):
    """Packed training steps of one process.

    A history longer than `row_length` inputs trains as several windows of it. A step holds `batch_size` of these over
    all processes, or as many as have `batch_targets` targets on average, if that is fewer; an epoch has at least
    `epoch_steps` steps, for which it begins again with the windows in another order. So a schedule tuned on one data
    set means as many steps of as many targets on a smaller one.
    """

    def __init__(
        self,
        interactions: Interactions,
        split: Split,
        *,
        row_length: int,
        batch_size: int,
        seed: int,
        batch_targets: int | None = None,
        epoch_steps: int = 1,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.item = interactions.item.astype(np.int64)
        rows = np.flatnonzero(split.train)
        _, first, count = np.unique(interactions.user[rows], return_index=True, return_counts=True)
        enough = count >= 2  # one item alone has no next item
        if not enough.any():
            raise InputError(NO_PAIR)
        self.history_begin, self.history_length = rows[first[enough]], count[enough]  # whole
        self.begin, self.length, self.history = windows(self.history_begin, self.history_length, row_length)
        self.row_length = min(row_length, max(PLACES, int(count.max())))  # a longer row than any history is padding
        self.seed = seed
        number = len(self.begin)
        fitting = batch_size if batch_targets is None else round(batch_targets * number / (self.length - 1).sum())
        self.batch_size = max(1, min(batch_size, number, fitting))  # of more than there are, most would be empty
        self.epoch_steps = epoch_steps
        self.rank, self.world, self.device = rank, world, torch.device(device)

    def __len__(self) -> int:
        return max(self.epoch_steps, -(-len(self.begin) // self.batch_size))

    def members(self) -> np.ndarray:
        """(S, batch_size): the windows of every step of this epoch, -1 where the last step has fewer."""
        random, number = np.random.default_rng([self.seed, self.epoch]), len(self.begin)
        most = number if len(self) * self.batch_size - number < self.batch_size else len(self) * self.batch_size
        order = np.concatenate([random.permutation(number) for _ in range(-(-most // number))])[:most]
        member = np.full(len(self) * self.batch_size, -1, np.int64)
        member[: len(order)] = order
        return member.reshape(len(self), self.batch_size)

    def __iter__(self) -> Iterator[PackedBatch]:
        members = self.members()[self.begin_epoch() :]
        for block in range(0, len(members), _BLOCK):
            yield from self._steps(members[block : block + _BLOCK])

    def _steps(self, members: np.ndarray) -> Iterator[PackedBatch]:
        targets = np.where(members >= 0, np.minimum(self.length[members] - 1, self.row_length), 0).sum(axis=1)
        member = members[:, self.rank :: self.world]
        steps = pack(self.item, self.begin, self.length, member, row_length=self.row_length)
        arrays = (steps.item, steps.position, steps.segment, steps.target, steps.sequence)
        item, position, segment, target, sequence = (torch.from_numpy(array).to(self.device) for array in arrays)
        sequences = (members >= 0).sum(axis=1)
        for step, total in enumerate(targets.tolist()):
            rows = slice(int(steps.first[step]), int(steps.first[step + 1]))
            yield PackedBatch(
                item[rows], position[rows], segment[rows], target[rows], float(total),
                sequence[rows], float(sequences[step]),
            )  # fmt: skip


def windows(begin: np.ndarray, length: np.ndarray, inputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sequences (S,) of at least two rows as windows of at most `inputs` + 1 rows, latest first, each of which begins
    with the last row of the one before: every row but a sequence's first is a target once. Begin and length (W,) of the
    windows, and whose each is.
    """
    number = -(-(length - 1) // inputs)
    sequence = np.repeat(np.arange(len(begin)), number)
    later = (np.arange(len(sequence)) - np.repeat(np.cumsum(number) - number, number)) * inputs
    size = np.minimum(length[sequence] - 1 - later, inputs) + 1
    return (begin + length)[sequence] - later - size, size, sequence


class EvaluationLoader:
    """The evaluation batches of one process. A step holds as many cases as `scores_mib` of fp32 scores allow."""

    def __init__(
        self,
        interactions: Interactions,
        cases: Cases,
        *,
        row_length: int,
        scores_mib: float = 64,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        begin, end = cases.history_begin(interactions), cases.target
        if len(end) and (end - begin).min() < 1:
            raise InputError(f"{int((end <= begin).sum())} cases have an empty history: nothing to recommend from")
        order = np.argsort(end - begin, kind="stable")[rank::world]
        self.device, self.row_length = torch.device(device), row_length
        self.item = torch.from_numpy(interactions.item.astype(np.int64)).to(self.device)
        self.case, self.begin, self.end, self.user = (
            torch.from_numpy(a[order]).to(self.device)
            for a in (np.arange(len(end)), begin, end, cases.user.astype(np.int64))
        )
        self.batch_size = max(1, min(1024, int(scores_mib * 2**20 / (4 * interactions.num_items))))

    def __len__(self) -> int:
        return -(-len(self.case) // self.batch_size)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        for start in range(0, len(self.case), self.batch_size):
            rows = slice(start, start + self.batch_size)
            begin, end = self.begin[rows], self.end[rows]
            length = (end - begin).clamp(max=self.row_length)
            history = History(self._items(end - length, length), length, self.user[rows])
            yield EvaluationBatch(history, self.item[end], self._items(begin, end - begin), self.case[rows])

    def _items(self, begin: Tensor, length: Tensor) -> Tensor:
        """(B, longest) items begin..begin+length, right-padded with 0."""
        place = torch.arange(int(length.max()), device=self.device)
        inside = place < length[:, None]
        return self.item[torch.where(inside, begin[:, None] + place, 0)] * inside
