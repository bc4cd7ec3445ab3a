"""Checkpoints cheap enough to be kept after every step: copied into mapped files, two of them in turn.

What is copied into a mapped file outlives the process, whenever it is killed, and a file that was being filled is known
by its empty head, so that the other one counts. Neither outlives the machine, whose last writes are lost in any order:
snapshots of another boot are no snapshots.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

SUFFIX = ".step"  # of the checkpoints that are snapshots; all others are Lightning's own
_HEAD = struct.Struct("<QQQ")  # time of writing, 0 while it lasts; length of the frame; first byte of the tensors
_SAFE = {("collections", "OrderedDict"): OrderedDict, ("torch", "Size"): torch.Size}


class SnapshotIO(TorchCheckpointIO):
    """Give it to the Trainer as a plugin: `save_checkpoint("x.step")` fills x.step0 or x.step1."""

    def __init__(self) -> None:
        super().__init__()
        self._turn, self._maps = 0, dict[Path, mmap.mmap]()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if Path(path).suffix != SUFFIX:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        frame, tensors = _split({"boot": _boot(), "checkpoint": checkpoint})
        begin = -(-(_HEAD.size + len(frame)) // 4096) * 4096
        slot = _slots(path)[self._turn]
        file = self._mapped(slot, begin + sum(_room(tensor) for tensor in tensors))
        self._turn = 1 - self._turn
        _HEAD.pack_into(file, 0, 0, len(frame), begin)
        file[_HEAD.size : _HEAD.size + len(frame)] = frame
        whole = torch.frombuffer(file, dtype=torch.uint8)
        for tensor in tensors:
            place = whole[begin : begin + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            place.copy_(tensor)
            begin += _room(tensor)
        struct.pack_into("<Q", file, 0, time.time_ns())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        if Path(path).suffix != SUFFIX:
            return super().load_checkpoint(path, map_location, weights_only)
        states = [state for state in map(_read, _slots(path)) if state is not None]
        if not states:
            raise FileNotFoundError(path)
        return max(states, key=lambda state: state[0])[1]

    def _mapped(self, file: Path, size: int) -> mmap.mmap:
        """The slot's file in memory, made anew where its size has changed."""
        content = self._maps.get(file)
        if content is None or len(content) != size:
            scratch = file.with_suffix(".tmp")
            with scratch.open("w+b") as scratch_file:
                if hasattr(os, "posix_fallocate"):  # on a full disk a mapped file without blocks kills who writes to it
                    os.posix_fallocate(scratch_file.fileno(), 0, size)
                else:
                    scratch_file.truncate(size)
                content = self._maps[file] = mmap.mmap(scratch_file.fileno(), size)
            scratch.replace(file)
        return content


def forget(path: Path) -> None:
    """Remove a snapshot."""
    for slot in _slots(path):
        slot.unlink(missing_ok=True)


def _slots(path: Any) -> list[Path]:
    return [Path(path).with_suffix(f"{SUFFIX}{number}") for number in range(2)]


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // 64) * 64


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return "unknown"


def _split(state: dict[str, Any]) -> tuple[bytes, list[Tensor]]:
    """A pickle with numbers in place of its tensors, and the tensors."""
    tensors: list[Tensor] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, Tensor):
                return None
            tensors.append(value.detach())
            return str(value.dtype).removeprefix("torch."), tuple(value.shape)

    out = io.BytesIO()
    Pickler(out, protocol=5).dump(state)
    return out.getvalue(), tensors


def _read(slot: Path) -> tuple[int, dict[str, Any]] | None:
    """(time of writing, checkpoint) of a slot that was filled to its end since this machine started."""
    try:
        content = slot.read_bytes()
        when, length, begin = _HEAD.unpack_from(content)
        if when == 0:
            return None
        state = _Unpickler(content, begin, content[_HEAD.size : _HEAD.size + length]).load()
        return (when, state["checkpoint"]) if state["boot"] == _boot() != "unknown" else None
    except Exception:  # damage can raise whatever its bytes spell
        return None


class _Unpickler(pickle.Unpickler):
    """Reads plain values and tensors, and runs no code."""

    def __init__(self, content: bytes, begin: int, frame: bytes) -> None:
        super().__init__(io.BytesIO(frame))
        self.content, self.begin = content, begin

    def persistent_load(self, reference: Any) -> Tensor:
        dtype, shape = getattr(torch, reference[0]), reference[1]
        tensor = torch.empty(shape, dtype=dtype)
        source = np.frombuffer(self.content, np.uint8, tensor.nbytes, self.begin).copy()
        self.begin += _room(tensor)
        return torch.from_numpy(source).view(dtype).view(shape) if tensor.numel() else tensor

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _SAFE[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not read") from None
