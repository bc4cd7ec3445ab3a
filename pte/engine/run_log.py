"""The package's log lines: as they are to the terminal, errors to its error stream, all with their time to run.log.

Neither repeats a secret, as far as one can be recognised.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pte.engine.config.secret import redacted
from pte.engine.pruning import PrunedError
from pte.schema import InputError


class RunLog(logging.Handler):
    """The one handler of a run, on the logger "pte"."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def emit(self, record: logging.LogRecord) -> None:
        line = redacted(record.getMessage())
        if record.levelno >= logging.ERROR:
            print(f"\nERROR: {line}\n", file=sys.stderr, flush=True)
            line = f"ERROR: {line}"
        else:
            print(line, flush=True)
        self.write(line)

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
    package.setLevel(logging.INFO)
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
        package.removeHandler(handler)
        package.setLevel(level)
        package.propagate = propagate
