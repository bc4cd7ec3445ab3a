"""Processes that torchrun or srun started, on one machine or many, as one job: the first runs it, all train.

The first process does every stage; where one is made by a group, it hands an order to the others, each of which starts
its own process of the group. They wait for orders until the first one ends, and end as it did. All see the same files:
folders must lie where every machine has them. Between them is a store of torch.distributed (a socket), torchrun's own
or one that the first process holds. The processes of a group find each other in a store of their own: in one that an
earlier group has used they would read its addresses.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

POLL_SECONDS = 0.1
AGENT = "TORCHELASTIC_USE_AGENT_STORE"  # set: the store is there already, and the first process is a client too
PER_RANK = re.compile(  # variables by which a process of a group knows its place, as torchrun sets them
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NODE_RANK|GROUP_RANK|ROLE_\w+|MASTER_\w+|PL_\w+|TORCHELASTIC_\w+)$"
)
_joined: Joined | None = None


class Joined:
    """This process among the others. environ: RANK, WORLD_SIZE ... as torchrun sets them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        from torch import distributed

        stores: Any = distributed  # which does not export them to a type checker
        self.environ = dict(environ)
        self.rank, self.world = int(environ["RANK"]), int(environ["WORLD_SIZE"])
        store = stores.TCPStore(
            environ["MASTER_ADDR"], int(environ["MASTER_PORT"]), self.world,
            self.rank == 0 and environ.get(AGENT) != "True", timedelta(seconds=600), wait_for_workers=False,
        )  # fmt: skip
        self.store, self.orders = stores.PrefixStore(f"pte/{environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store), 0
        self.port = ""  # of the store of the order's group

    def order(self, file: str) -> int:
        """The first one's: order the others to start their process of a group. Returns the number of the order."""
        self.orders += 1
        with socket.socket() as free:
            free.bind(("", 0))
            self.port = str(free.getsockname()[1])
        self.store.set(f"order {self.orders}", json.dumps([file, self.port]))
        return self.orders

    def environment(self) -> dict[str, str]:
        """What this one's process of the group finds: the first one's holds a store at the order's port."""
        own = {"TORCHELASTIC_RUN_ID": "pte", AGENT: "False", "MASTER_PORT": self.port}
        return without_rank(os.environ) | {"GROUP_RANK": "0"} | self.environ | own

    def end(self, number: int, failed: int | None) -> None:
        """An order ends everywhere, because a process failed (its rank), or because all are through."""
        if failed is not None:
            self.store.set(f"failed {number}", str(failed))

    def failed(self, number: int) -> int | None:
        """The rank whose process has failed, of an order."""
        return int(self.store.get(f"failed {number}")) if self.store.check([f"failed {number}"]) else None

    def serve(self, follow: Callable[[Joined, str, int], None]) -> int:
        """Follow orders until the first process ends; its exit status."""
        try:
            while not self.store.check(["end"]):
                if self.store.check([f"order {self.orders + 1}"]):
                    self.orders += 1
                    file, self.port = json.loads(self.store.get(f"order {self.orders}"))
                    follow(self, file, self.orders)
                time.sleep(POLL_SECONDS)
            return int(self.store.get("end"))
        except RuntimeError:  # the store's: it went with the first process
            print(f"process {self.rank} of {self.world}: the first one is gone", file=sys.stderr)
            return 1

    def leave(self, code: int) -> None:
        """The first one's: the others may end. A store of its own stays until they have read it."""
        if self.rank:
            with contextlib.suppress(RuntimeError):
                self.store.add("left", 1)
            return
        self.store.set("end", str(code))
        deadline = time.monotonic() + 10
        while self.environ.get(AGENT) != "True" and time.monotonic() < deadline:
            if self.store.add("left", 0) == self.world - 1:
                return
            time.sleep(POLL_SECONDS)


def enter() -> Joined | None:
    """This process as one of several that were started together; None where it is alone."""
    global _joined
    environ = of_torchrun(os.environ) or of_slurm(os.environ)
    if environ is None:
        return None
    for name in set(os.environ) - set(without_rank(os.environ)):
        del os.environ[name]  # whatever else runs in this process runs alone
    _joined = Joined(environ)
    return _joined


def joined() -> Joined | None:
    return _joined


def of_slurm(environ: Mapping[str, str]) -> dict[str, str] | None:
    """torchrun's variables for a task of `srun` with several; of a script of `sbatch` itself, which is one, None."""
    if int(environ.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return None
    nodes = environ["SLURM_STEP_NODELIST"]
    first = re.sub(r"\[(\d+)[^\]]*\]", r"\1", nodes).split(",")[0]  # node[03-05,9] -> node03
    port = 15_000 + int(environ["SLURM_JOB_ID"][-4:])
    return {
        "RANK": environ["SLURM_PROCID"], "WORLD_SIZE": environ["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": environ["SLURM_LOCALID"], "GROUP_RANK": environ.get("SLURM_NODEID", "0"),
        "LOCAL_WORLD_SIZE": re.split(r"\D", environ["SLURM_STEP_TASKS_PER_NODE"])[0],
        "MASTER_ADDR": environ.get("MASTER_ADDR", first), "MASTER_PORT": environ.get("MASTER_PORT", str(port)),
        "TORCHELASTIC_RESTART_COUNT": environ.get("SLURM_RESTART_COUNT", "0"),
    }  # fmt: skip


def without_rank(environ: Mapping[str, str]) -> dict[str, str]:
    """The rest."""
    return {name: value for name, value in environ.items() if not PER_RANK.match(name)}


def of_torchrun(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The variables of a process that torchrun started beside others."""
    if int(environ.get("WORLD_SIZE", "1")) < 2 or not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= set(environ):
        return None
    return {name: value for name, value in environ.items() if PER_RANK.match(name)}
