"""Snapshots are read back as they were, count only when whole, and run no code."""

import errno
import os
import random
from collections import OrderedDict

import pytest
import torch

from pte.train.state import snapshot
from pte.train.state.snapshot import SnapshotIO, forget


def state(number=0):
    weights = OrderedDict(
        a=torch.randn(3, 5), b=torch.tensor(2.5), none=torch.zeros(0, 4), half=torch.ones(7).bfloat16()
    )
    return {
        "state_dict": weights,
        "loops": {"step": number, "names": ["x", "y"], "loss": 0.25},
        "seen": torch.arange(9),
    }


def same(one, other):
    assert one["loops"] == other["loops"]
    assert torch.equal(one["seen"], other["seen"])
    for name, tensor in one["state_dict"].items():
        assert other["state_dict"][name].dtype == tensor.dtype
        assert torch.equal(other["state_dict"][name], tensor)


def test_the_newest_is_read_back_as_it_was(tmp_path):
    keeper, path = SnapshotIO(), tmp_path / "last.step"
    for number in range(5):
        made = state(number)
        keeper.save_checkpoint(made, path)
        same(made, SnapshotIO().load_checkpoint(path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.step0", "last.step1"]


def test_what_is_stored_later_does_not_change_what_was_read(tmp_path):
    keeper, path, first = SnapshotIO(), tmp_path / "last.step", state()
    keeper.save_checkpoint(first, path)
    loaded = SnapshotIO().load_checkpoint(path)
    for number in range(1, 4):
        keeper.save_checkpoint(state(number), path)
    same(first, loaded)


def test_a_snapshot_may_grow(tmp_path):
    keeper, path = SnapshotIO(), tmp_path / "last.step"
    for length in (1, 10_000, 5):
        made = state() | {"rows": list(range(length))}
        keeper.save_checkpoint(made, path)
        assert SnapshotIO().load_checkpoint(path)["rows"] == made["rows"]


def test_a_kill_while_one_is_filled_leaves_the_one_before(tmp_path, monkeypatch):
    keeper, path, first = SnapshotIO(), tmp_path / "last.step", state(1)
    keeper.save_checkpoint(state(0), path)
    keeper.save_checkpoint(first, path)

    def die():
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot.time, "time_ns", die)  # the last thing before a snapshot counts
        with pytest.raises(RuntimeError, match="killed"):
            keeper.save_checkpoint(state(2), path)
    same(first, SnapshotIO().load_checkpoint(path))


def test_a_snapshot_of_another_boot_is_none(tmp_path, monkeypatch):
    keeper, path = SnapshotIO(), tmp_path / "last.step"
    keeper.save_checkpoint(state(), path)
    monkeypatch.setattr(snapshot, "_boot", lambda: "another")
    with pytest.raises(FileNotFoundError):
        keeper.load_checkpoint(path)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(5000), b"\x01" * 5000])
def test_damage_is_none(tmp_path, damage):
    (tmp_path / "last.step0").write_bytes(damage)
    with pytest.raises(FileNotFoundError):
        SnapshotIO().load_checkpoint(tmp_path / "last.step")


@pytest.mark.parametrize("seed", range(30))
def test_whatever_a_damaged_frame_spells(tmp_path, seed):
    keeper, path = SnapshotIO(), tmp_path / "last.step"
    keeper.save_checkpoint(state(), path)
    loaded = bytearray((tmp_path / "last.step0").read_bytes())
    loaded[24:200] = random.Random(seed).randbytes(176)
    (tmp_path / "last.step0").write_bytes(loaded)
    with pytest.raises(FileNotFoundError):
        keeper.load_checkpoint(path)


def test_no_code_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    keeper, path = SnapshotIO(), tmp_path / "last.step"
    keeper.save_checkpoint(state() | {"evil": Evil()}, path)
    with pytest.raises(FileNotFoundError):
        keeper.load_checkpoint(path)
    assert not (tmp_path / "made").exists()


def test_other_files_are_lightnings_own(tmp_path):
    keeper, made = SnapshotIO(), state()
    keeper.save_checkpoint(made, tmp_path / "last.ckpt")
    same(made, torch.load(tmp_path / "last.ckpt", weights_only=True))
    same(made, keeper.load_checkpoint(tmp_path / "last.ckpt"))


def test_forgotten_is_gone(tmp_path):
    keeper, path = SnapshotIO(), tmp_path / "last.step"
    keeper.save_checkpoint(state(), path)
    forget(path)
    assert list(tmp_path.iterdir()) == []


def test_blocks_are_there_before_a_mapped_file_is_written_to(tmp_path, monkeypatch):
    """On a full disk a write to a hole of a mapped file is a bus error, which ends the process without a word."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        SnapshotIO().save_checkpoint(state(), tmp_path / "last.step")
