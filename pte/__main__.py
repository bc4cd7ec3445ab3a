"""`python -m pte` and the command `pte`: while `pte.run` is imported, Ctrl-C ends it without a traceback."""

from __future__ import annotations

import signal


def main() -> None:
    """`pte.run.main`, which answers to signals in words."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pte.run import main as command

    command()


if __name__ == "__main__":
    main()
