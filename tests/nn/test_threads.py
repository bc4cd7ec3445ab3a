"""Threads of products are as many as the cores that others leave."""

import threading

import pytest
import torch

from pte.nn import threads
from pte.nn.threads import Clocks, Threads, free_cores, read_clocks


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """Of a machine whose every look counts; torch works with four threads."""
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "LOOK_SECONDS", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def looks(*others: float):
    """A reader by which other processes keep so many cores busy, ours one, between one look and the next."""
    known = [Clocks(0.0, 0.0, 0.0)]
    for busy in others:
        last = known[-1]
        known.append(Clocks(last.now + 2, last.busy + 2 * (busy + 1), last.own + 2))
    rest = iter(known)
    return lambda: next(rest)


def test_free_cores_by_hand():
    """In 10 s four cores were busy for 25, 5 of them our own: others took two."""
    assert free_cores(Clocks(0, 100, 7), Clocks(10, 125, 12), 4) == 2
    assert free_cores(Clocks(0, 100, 7), Clocks(10, 104, 12), 4) == 4, "what is counted later is no other's"


@pytest.mark.parametrize(("others", "number"), [(0, 4), (0.2, 4), (0.3, 3), (1, 3), (2.1, 2), (3, 1), (4, 1), (40, 1)])
def test_as_many_as_are_free_and_as_before_afterwards(others, number):
    with Threads(settled=False, read=looks(others)).fitted():
        assert torch.get_num_threads() == number
    assert torch.get_num_threads() == 4


def test_what_comes_and_goes_meanwhile_counts():
    one = Threads(settled=False, read=looks(0, 3, 1, 0))
    seen = []
    with one.fitted():
        for _ in range(3):
            seen.append(torch.get_num_threads())
            one.fit()
        seen.append(torch.get_num_threads())
    assert seen == [4, 1, 3, 4]


def test_an_error_leaves_the_number_as_it_was():
    with pytest.raises(KeyError), Threads(settled=False, read=looks(3)).fitted():
        raise KeyError
    assert torch.get_num_threads() == 4


def test_two_looks_lie_apart(monkeypatch):
    monkeypatch.setattr(threads, "LOOK_SECONDS", 1e9)
    with Threads(settled=False, read=looks(3)).fitted():
        assert torch.get_num_threads() == 4


@pytest.mark.parametrize("variable", ["2", None])
def test_a_number_in_the_environment_settles_it(monkeypatch, variable):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    with Threads(read=looks(3)).fitted():
        assert torch.get_num_threads() == (4 if variable else 1)


def test_a_system_without_clocks_changes_nothing():
    with Threads(settled=False, read=lambda: None).fitted():
        assert torch.get_num_threads() == 4


@pytest.mark.skipif(read_clocks() is None, reason="no /proc/stat")
def test_the_clocks_of_this_machine_go_forward():
    before = read_clocks()
    threading.Event().wait(0.05)
    after = read_clocks()
    assert after.now > before.now
    assert after.busy >= before.busy > before.own > 0
