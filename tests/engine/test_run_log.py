"""One handler on the package's logger: each line once on the terminal and once, with its time, in run.log."""

import logging
import re
import sys

import pytest

from pte.engine.pruning import PrunedError
from pte.engine.run_log import run_log
from pte.schema import InputError, progress

logger = logging.getLogger("pte.stage.some")


def without_time(text: str) -> str:
    return re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", text)


def test_lines_to_the_terminal_errors_to_its_error_stream_all_to_the_file(tmp_path, capsys):
    file = tmp_path / "run" / "run.log"
    with run_log(file), run_log(tmp_path / "inner.log"):  # a command around a run: nothing twice
        logger.info("100% of them")
        logging.getLogger("elsewhere").info("not ours")
        logger.error(InputError("seed=x: give a number"))
    logger.info("after it")
    shown = capsys.readouterr()
    assert shown.out == "100% of them\n"
    assert shown.err == "\nERROR: seed=x: give a number\n\n"
    assert without_time(file.read_text()) == "100% of them\nERROR: seed=x: give a number\n"
    assert not (tmp_path / "inner.log").exists()


@pytest.mark.parametrize(("error", "last"), [
    (InputError("a sentence"), "ERROR: a sentence"), (KeyError("k"), "'k'"), (KeyboardInterrupt(), "interrupted"),
    (PrunedError("pruned after 4 validations"), "pruned after 4 validations"),
])  # fmt: skip
def test_what_ends_a_run_is_in_its_log(tmp_path, error, last):
    file = tmp_path / "run.log"
    with pytest.raises(type(error)), run_log(file):
        raise error
    text = without_time(file.read_text())
    assert text.rstrip().endswith(last)
    assert ("Traceback" in text) == isinstance(error, KeyError)
    assert not logging.getLogger("pte").handlers


def test_no_line_repeats_a_secret(tmp_path, capsys):
    file = tmp_path / "run.log"
    lines = ["asking https://u:pw-hidden@host/v1", "Bearer pw-hidden-0123", "x?api_key=pw-hidden&y=1"]
    with run_log(file):
        for line in lines:
            logging.getLogger("pte.x").info(line)
            logging.getLogger("pte.x").error(line)
        logging.getLogger("pte.x").info("of basic understanding")
    with pytest.raises(OSError, match="hidden"), run_log(file):
        raise OSError("http://u:pw-hidden@host")
    shown = capsys.readouterr()
    assert "hidden" not in file.read_text() + shown.out + shown.err
    assert "of basic understanding" in shown.out


def test_a_terminal_rewrites_the_line_of_progress_and_a_pipe_gets_it_now_and_then(tmp_path, capsys, monkeypatch):
    for terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(progress, "SHOW_SECONDS", 0)
        with run_log(tmp_path / f"{terminal}.log"):
            counted = progress.Progress(logger, "metrics", "cases", 3)
            counted.advance()
            monkeypatch.setattr(progress, "TELL_SECONDS", 0)
            counted.advance()
            monkeypatch.setattr(progress, "TELL_SECONDS", 20)
            logger.info("made in 1 s")
            counted.advance()
        shown = re.sub(r"\d\.\d cases/s|[\d,]+ cases/s", "R", re.sub(r"\d:\d\d", "T", capsys.readouterr().out))
        one, two, three = (f"metrics: {n} of 3 cases, R, T left" for n in (1, 2, 3))
        if terminal:
            assert shown == f"\r\033[K{one}\r\033[K{two}\nmade in 1 s\n\r\033[K{three}\n"
        else:
            assert shown == f"{two}\nmade in 1 s\n{three}\n"
        assert len((tmp_path / f"{terminal}.log").read_text().splitlines()) == 3


def test_rate_and_time_left_by_hand(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    counted = progress.Progress(logger, "metrics: test", "cases", 1_200, done=200)
    counted.done = 400
    assert counted.line(110.0) == "metrics: test: 400 of 1,200 cases, 20 cases/s, 0:40 left"
    counted.done = 210
    assert counted.line(110.0).endswith("1.0 cases/s, 16:30 left")
    assert [progress.clock(seconds) for seconds in (0, 59.6, 3_599, 3_600)] == ["0:00", "1:00", "59:59", "1:00:00"]


def test_what_is_half_done_counts_for_rate_and_time_left(monkeypatch):
    """40 units take long together; a quarter of them in 10 s are 1 unit a second, and 90 of 100 are left."""
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    counted = progress.Progress(logger, "profiles", "generations", 100)
    assert counted.line(165.0) == "profiles: 0 of 100 generations, begun 1:05 ago"
    counted.underway(40 * 0.25)
    assert counted.line(110.0) == "profiles: 0 of 100 generations, 1.0 generations/s, 1:30 left"
    counted.advance(40)
    assert counted.line(120.0) == "profiles: 40 of 100 generations, 2.0 generations/s, 0:30 left"
