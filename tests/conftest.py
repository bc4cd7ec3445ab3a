"""Twelve literal interactions that most tests use, small enough to follow by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from pte.schema import Cases, Interactions, Items, Split


@pytest.fixture
def twelve() -> Interactions:
    """Four users with 5, 4, 2 and 1 interactions over six films.

    ann  1 2 3 4 5   (the last two at the same time)
    bob  2 3 1 6
    cy   1 2
    dee  3
    """
    return Interactions(
        user=np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3], np.int32),
        item=np.array([1, 2, 3, 4, 5, 2, 3, 1, 6, 1, 2, 3], np.int32),
        time=np.array([10, 20, 30, 40, 40, 5, 15, 25, 35, 8, 9, 50], np.int64),
        user_id=["ann", "bob", "cy", "dee"],
        items=Items(
            item_id=["", "m1", "m2", "m3", "m4", "m5", "m6"],
            title=["", "Toy Story", "GoldenEye", "Heat", "Alien", "Aliens", "Fargo"],
            text={
                "genres": ["", "Animation", "Action", "Crime", "Horror, Sci-Fi", "Action, Sci-Fi", "Crime"],
                "year": ["", "1995", "1995", "1995", "1979", "1986", "1996"],
            },
        ),
        card={"name": "twelve"},
    )


@pytest.fixture
def twelve_split() -> Split:
    """Leave-one-out of `twelve`: ann and bob are asked; cy and dee only train; ann's third row is withheld."""
    train = np.array([1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1], bool)
    visible = train.copy()
    visible[2] = False
    user = np.array([0, 1], np.int32)
    return Split(
        train=train,
        visible=visible,
        valid=Cases(user=user, target=np.array([3, 7], np.int64), tied=np.array([False, False])),
        test=Cases(user=user, target=np.array([4, 8], np.int64), tied=np.array([True, False])),
    )


@pytest.fixture(autouse=True)
def _package_lines(caplog):
    """caplog.messages: every line that the package logs."""
    caplog.set_level(logging.INFO, "pte")


@pytest.fixture
def on_line():
    """`with on_line(react)`: every line that the package logs meanwhile is handed to `react`, which may raise."""

    class Reaction(logging.Handler):
        def __init__(self, react: Callable[[str], object]) -> None:
            super().__init__()
            self.react = react

        def emit(self, record: logging.LogRecord) -> None:
            self.react(record.getMessage())

    @contextmanager
    def listening(react: Callable[[str], object]) -> Iterator[None]:
        logging.getLogger("pte").addHandler(handler := Reaction(react))
        try:
            yield
        finally:
            logging.getLogger("pte").removeHandler(handler)

    return listening


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes by their argument's name, numbered by pytest: what a compressor writes may hold the time of day."""
    return argname if isinstance(val, bytes) else None
