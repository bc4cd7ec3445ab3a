"""One stage on several devices: a process group of its own, started, watched and ended by the run that wants it.

Every job of a sweep gets a fresh group from its saved, resolved config. (Letting Lightning re-run the command line for
the other ranks repeats the whole sweep in each of them: lightning#18175, hydra#2070.) The processes are started as
torchrun would, but by the run itself: no process stands between them, so none can leave the others behind, and nothing
but them imports torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pte.schema import InputError
from pte.schema.context import Context

PER_RANK = re.compile(
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NODE_RANK|GROUP_RANK|MASTER_\w+|PL_\w+|TORCHELASTIC_\w+)$"
)
GRACE_SECONDS = 4
POLL_SECONDS = 0.05
ERROR = "error.{}"  # in the work folder: why the process of that rank failed
Group = Sequence[subprocess.Popen[bytes]]


def launch(stage: str, context: Context, config: Mapping[str, Any], processes: int, log: Path, lock: int) -> None:
    """Run `stage` in `processes` processes that fill `context.out`; ends them all when one fails or on interruption.

    lock: a file descriptor that every process keeps open, so that what it locks stays so until the last one is gone.
    Raises InputError, with the reason of the process that failed first.
    """
    for rank in range(processes):
        (context.work / ERROR.format(rank)).unlink(missing_ok=True)
    read, write = os.pipe()
    order = {
        "stage": stage,
        "config": dict(config),
        "parents": {name: str(path) for name, path in context.parents.items()},
        "out": str(context.out),
        "work": str(context.work),
        "log": str(log),
        "parent": os.getpid(),
        "rows": write if context.loggers else None,
    }
    file = context.work / "order.json"
    file.write_text(json.dumps(order), encoding="utf-8")
    relay = threading.Thread(target=_relay, args=(read, context.loggers))
    relay.start()
    command = [sys.executable, "-m", "pte.engine.process.worker", str(file)]
    group: list[subprocess.Popen[bytes]] = []
    try:
        with _environments(processes) as environments:
            try:
                for rank, environ in enumerate(environments):
                    descriptors = [lock] if rank else [lock, write]
                    group.append(subprocess.Popen(command, env=environ, start_new_session=True, pass_fds=descriptors))
            finally:
                os.close(write)  # the first process holds it now, and closes it with its end
            failed = _wait(group)
    finally:
        _end(group)
        relay.join()
    if failed is not None:
        raise InputError(f"{stage} failed in {_reason(context.work, group, failed)}")


@contextlib.contextmanager
def _environments(processes: int) -> Iterator[list[dict[str, str]]]:
    """What each process finds in its environment, as torchrun sets it. The port is held until the group has ended."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the first process may bind it as well
        listener.bind(("127.0.0.1", 0))
        common = {k: v for k, v in os.environ.items() if not PER_RANK.match(k)}
        common |= {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(listener.getsockname()[1]), "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "pte",
        }  # fmt: skip
        common.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        yield [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def _relay(read: int, loggers: Sequence[Any]) -> None:
    """Hand what the first process logs to this run's loggers, as it comes."""
    with os.fdopen(read, encoding="utf-8") as rows:
        for row in rows:
            metrics, step = json.loads(row)
            for logger in loggers:
                logger.log_metrics(metrics, step=step)


def _wait(group: Group) -> int | None:
    """Until all are done: None. Or until one has failed: its rank."""
    while True:
        codes = [process.poll() for process in group]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            return failed[0]
        if None not in codes:
            return None
        time.sleep(POLL_SECONDS)


def _end(group: Group) -> None:
    """SIGTERM to all, then SIGKILL for who is left."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for process in group:
            process.send_signal(signum)  # nothing where it has ended
        deadline = time.monotonic() + GRACE_SECONDS
        for process in group:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))


def _reason(work: Path, group: Group, failed: int) -> str:
    """Which process failed and why. The others lose their connection to it and fail as well: the first one counts."""
    reports = [file for rank in range(len(group)) if (file := work / ERROR.format(rank)).is_file()]
    code = group[failed].returncode
    if code < 0:
        return f"process {failed} of {len(group)}: ended by {signal.Signals(-code).name}"
    if not reports:
        return f"process {failed} of {len(group)} (exit status {code}): the reason is above"
    first = min(reports, key=lambda file: file.stat().st_mtime_ns)
    return f"process {first.suffix[1:]} of {len(group)}: {first.read_text(encoding='utf-8')}"
