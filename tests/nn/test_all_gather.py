"""Tensors of unequal length pass between real processes; alone there is nobody to ask."""

import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pte.nn.all_gather import others

HELD = ([3, 1, 2], [], [7])


def _worker(process: int, port: int, queue) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=process, world_size=3)
    found = others(torch.tensor(HELD[process], dtype=torch.int64))
    queue.put((process, [part.tolist() for part in found]))
    dist.destroy_process_group()


def test_each_process_has_what_the_others_hold():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    workers = [context.Process(target=_worker, args=(i, port, queue)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert dict(queue.get() for _ in workers) == {i: [list(HELD[j]) for j in range(3) if j != i] for i in range(3)}


def test_one_process_has_no_others():
    assert others(torch.tensor([1, 2])) == []
