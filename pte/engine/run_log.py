"""The package's log lines: as they are to the terminal, errors to its error stream, all with their time to run.log.

In a terminal a line of progress takes the place of the one before. Nothing repeats a secret, as far as one can be
recognised.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pte.engine.config.secret import redacted
from pte.engine.pruning import PrunedError
from pte.schema import InputError
from pte.schema.progress import LIVE

REPLACE = "\r\033[K"  # to the line's beginning, and clear it


class RunLog(logging.Handler):
    """The one handler of a run, on the logger "pte"."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, self.open = file, False  # open: the terminal's line may be replaced
        self.terminal = sys.stdout.isatty()

    def emit(self, record: logging.LogRecord) -> None:
        line = redacted(record.getMessage())
        if self.terminal and getattr(record, "live", False):
            print(f"{REPLACE}{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
            self.open = True
        elif record.levelno >= logging.ERROR:
            self.end_line()
            line = f"ERROR: {line}"
            print(f"\n{line}\n", file=sys.stderr, flush=True)
        else:
            self.end_line()
            print(line, flush=True)
        if record.levelno > LIVE:
            self.write(line)

    def end_line(self) -> None:
        """What is printed next begins a line of its own."""
        if self.open:
            print(flush=True)
        self.open = False

    def write(self, line: str) -> None:
        """To the file alone."""
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {redacted(line)}\n")


@contextmanager
def run_log(file: Path) -> Iterator[None]:
    """Show what the package logs meanwhile, and write it to `file`; inside another one, that one goes on doing so."""
    package = logging.getLogger("pte")
    if any(isinstance(handler, RunLog) for handler in package.handlers):
        yield
        return
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("pte."):  # Hydra disables what was there before a job, and a sweep's jobs share a process
            logging.getLogger(name).disabled = False
    file.parent.mkdir(parents=True, exist_ok=True)
    handler, level, propagate = RunLog(file), package.level, package.propagate
    package.addHandler(handler)
    package.setLevel(LIVE if handler.terminal else logging.INFO)
    package.propagate = False  # a root logger's handlers would show every line again
    try:
        yield
    except InputError as error:
        handler.write(f"ERROR: {error}")
        raise
    except PrunedError as early:  # no failure
        handler.write(str(early))
        raise
    except KeyboardInterrupt:
        handler.write("interrupted")
        raise
    except Exception:
        handler.write(traceback.format_exc())
        raise
    finally:
        handler.end_line()
        package.removeHandler(handler)
        package.setLevel(level)
        package.propagate = propagate
