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
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pte.engine.process import join
from pte.engine.process.join import Joined, without_rank
from pte.schema import InputError
from pte.schema.context import Context

GRACE_SECONDS = 4
POLL_SECONDS = 0.05
ERROR = "error.{}"  # in the work folder: why the process of that rank failed
Group = Sequence[subprocess.Popen[bytes]]


def launch(stage: str, context: Context, config: Mapping[str, Any], processes: int, log: Path, lock: int) -> None:
    """Run `stage` in `processes` processes that fill `context.out`; ends them all when one fails or on interruption.

    Where torchrun or srun started this process beside others, each starts one of the group (process/join). lock: a
    file descriptor that every process keeps open, so that what it locks stays so until the last one is gone. Raises
    InputError, with the reason of the process that failed first, or what a logger raises.
    """
    joined = join.joined()
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
        "rows": write if context.loggers else None,
    }
    file = context.work / "order.json"
    file.write_text(json.dumps(order), encoding="utf-8")
    raised: list[Exception] = []
    relay = threading.Thread(target=_relay, args=(read, context.loggers, raised))
    relay.start()
    number = joined.order(str(file)) if joined else 0
    group: list[subprocess.Popen[bytes]] = []
    failed: int | None = 0
    try:
        own = [joined.environment()] if joined else []
        with contextlib.nullcontext(own) if joined else _environments(processes) as environments:
            try:
                for rank, environ in enumerate(environments):
                    group.append(_start(file, environ, [lock] if rank else [lock, write]))
            finally:
                os.close(write)  # the first process holds it now, and closes it with its end
            failed = _wait(group, lambda: bool(raised) or (joined is not None and joined.failed(number) is not None))
    finally:
        if joined:
            joined.end(number, 0 if raised else failed)
        _end(group)
        relay.join()
    if raised:
        raise raised[0]
    if joined and failed is None:
        failed = joined.failed(number)
    if failed is not None:
        raise InputError(f"{stage} failed in {_reason(context.work, group, failed, processes)}")


def follow(joined: Joined, file: str, number: int) -> None:
    """This process's part of a group that the first of all launches; its failure is reported, and not this one's."""
    group = [_start(Path(file), joined.environment(), [])]
    try:
        failed = _wait(group, lambda: joined.failed(number) is not None)
    except BaseException:
        joined.end(number, joined.rank)
        raise
    finally:
        _end(group)
    if failed is not None and joined.failed(number) is None:
        joined.end(number, joined.rank)


def _start(file: Path, environ: Mapping[str, str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pte.engine.process.worker", str(file), str(os.getpid())]
    return subprocess.Popen(command, env=environ, start_new_session=True, pass_fds=descriptors)


@contextlib.contextmanager
def _environments(processes: int) -> Iterator[list[dict[str, str]]]:
    """What each process finds in its environment, as torchrun sets it. The port is held until the group has ended."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the first process may bind it as well
        listener.bind(("127.0.0.1", 0))
        common = without_rank(os.environ) | {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(listener.getsockname()[1]), "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "pte",
        }  # fmt: skip
        common.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        yield [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def _relay(read: int, loggers: Sequence[Any], raised: list[Exception]) -> None:
    """Hand what the first process logs to this run's loggers, as it comes, until one of them raises."""
    with os.fdopen(read, encoding="utf-8") as rows:
        for row in rows:
            metrics, step = json.loads(row)
            try:
                for logger in loggers if not raised else ():
                    logger.log_metrics(metrics, step=step)
            except Exception as error:  # for the thread that waits, as when a trial is pruned
                raised.append(error)


def _wait(group: Group, stopped: Callable[[], bool]) -> int | None:
    """Until all are done, or are to stop: None. Or until one has failed: its place in the group."""
    while not stopped():
        codes = [process.poll() for process in group]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            return failed[0]
        if None not in codes:
            return None
        time.sleep(POLL_SECONDS)
    return None


def _end(group: Group) -> None:
    """SIGTERM to all, then SIGKILL for who is left."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for process in group:
            process.send_signal(signum)  # nothing where it has ended
        deadline = time.monotonic() + GRACE_SECONDS
        for process in group:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))


def _reason(work: Path, group: Group, failed: int, processes: int) -> str:
    """Which process failed and why. The others lose their connection to it and fail as well: the first one counts."""
    reports = [file for rank in range(processes) if (file := work / ERROR.format(rank)).is_file()]
    code = group[failed].returncode if failed < len(group) else 1
    if code < 0 and len(group) == processes:
        return f"process {failed} of {processes}: ended by {signal.Signals(-code).name}"
    if not reports:
        return f"process {failed} of {processes} (exit status {code}): the reason is above"
    first = min(reports, key=lambda file: file.stat().st_mtime_ns)
    return f"process {first.suffix[1:]} of {processes}: {first.read_text(encoding='utf-8')}"
