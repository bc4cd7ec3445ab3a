"""A process that ends when the one that started it ends, however that happened: prctl(2), PR_SET_PDEATHSIG.

SIGKILL leaves a parent no time to end its children. On Linux the kernel does it then; elsewhere, and for a parent that
was gone before that, a thread polls the parent's id.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SECONDS = 1.0  # between two looks


def end_with(parent: int) -> None:
    """SIGKILL for this process as soon as `parent`, which started it, is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
