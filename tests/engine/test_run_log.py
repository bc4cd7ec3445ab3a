"""One handler on the package's logger: each line once on the terminal and once, with its time, in run.log."""

import logging
import re

import pytest

from pte.engine.pruning import PrunedError
from pte.engine.run_log import run_log
from pte.schema import InputError

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
    said = ["asking https://u:pw-hidden@host/v1", "Bearer pw-hidden-0123", "x?api_key=pw-hidden&y=1"]
    with run_log(file):
        for line in said:
            logging.getLogger("pte.x").info(line)
            logging.getLogger("pte.x").error(line)
        logging.getLogger("pte.x").info("of basic understanding")
    with pytest.raises(OSError, match="hidden"), run_log(file):
        raise OSError("http://u:pw-hidden@host")
    shown = capsys.readouterr()
    assert "hidden" not in file.read_text() + shown.out + shown.err
    assert "of basic understanding" in shown.out
