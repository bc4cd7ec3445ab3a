"""Scores of many histories a part at a time: a part that stays in a cache is scored and ranked twice as fast.

On a CPU a block of scores for a thousand histories goes to memory and back at every pass over it, and its pages are new
at every step. Histories are read in one go (a step is worth its overhead, and the item table is made once), scored a
part at a time. An accelerator has the room and needs the parallel work, so its parts are larger.

A product of another shape may add up in another order, so scores of two part sizes agree to rounding, not to the bit;
all scores of one history come from one product, the target's with the others'. Reference: `score` of all histories at
once (tests/backbone/test_score_parts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pte.nn.batch import History
from pte.nn.noise import CaseNoise, Noise

_ROWS = 64  # histories that make a matrix product worth its start, however large the catalogue
_SCORES = {"cpu": 3 * 2**18}  # scores of a part: 3 MiB. ours: 64 histories of Toys; 32 to 128 are alike
_PLACES = {"cpu": 2**11}  # encoded at a time: 2 MiB of a width of 256. ours: 2**10 .. 2**13 are alike
_ANY = 2**26  # of either on any other device


def rows_a_part(num_items: int, device: torch.device) -> int:
    """How many histories are scored at a time: a multiple of 16, for which kernels have no remainder."""
    return max(_ROWS, _SCORES.get(device.type, _ANY) // num_items // 16 * 16)


@torch.no_grad()
def products(query: Tensor, items: Tensor) -> Iterator[Tensor]:
    """query (B, D), items (N, D) -> their inner products, (b, N) at a time.

    Items come first in the product and lie first in memory: on a CPU a fifth faster than `query @ items.T`. Every part
    lies where the last one lay, so use it before asking for the next: fresh pages cost as much as the product.
    """
    parts = query.split(rows_a_part(len(items), query.device))
    space = query.new_empty(len(items) * len(parts[0]))
    for part in parts:
        yield torch.mm(items, part.T, out=space[: len(items) * len(part)].view(len(items), len(part))).T


def by_parts(score: Callable[..., Tensor], num_items: int, history: History, noise: Noise = None) -> Iterator[Tensor]:
    """`score` of the next few histories at a time, (b, N), each with its own rows of the noise."""
    rows = rows_a_part(num_items, history.item.device)
    for begin in range(0, len(history.item), rows):
        part = slice(begin, begin + rows)
        rows_noise = noise.rows(part) if isinstance(noise, CaseNoise) else noise
        yield score(history.rows(part), noise=rows_noise)


def encoded(encode: Callable[[Tensor, Tensor], Tensor], history: History) -> Tensor:
    """encode(item, length) of all histories, (B, D), a part at a time and each part padded to its own longest."""
    item, length = history.item, history.length
    rows = max(1, _PLACES.get(item.device.type, _ANY) // item.shape[1])
    if rows >= len(item):
        return encode(item, length)
    parts = zip(item.split(rows), length.split(rows), strict=True)
    return torch.cat([encode(i[:, : int(n.max())], n) for i, n in parts])
