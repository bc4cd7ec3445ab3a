"""Hand arithmetic for one case, exact sums for many, whatever the batches and the processes."""

import math
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pte.metric.ranking import RankingMetric, hit, mrr, ndcg, recall
from pte.metric.summary import values


def test_second_place():
    rank = torch.tensor([1])
    assert hit(rank, 10).item() == recall(rank, 10).item() == 1
    assert ndcg(rank, 10).item() == pytest.approx(1 / math.log2(3), abs=1e-7)
    assert mrr(rank, 10).item() == pytest.approx(0.5)


def test_the_cut_off_is_exclusive_for_zero_based_ranks():
    rank = torch.tensor([9, 10])
    assert hit(rank, 10).tolist() == [1, 0]
    assert ndcg(rank, 10).tolist() == pytest.approx([1 / math.log2(11), 0])
    assert mrr(rank, 10).tolist() == pytest.approx([0.1, 0])


def test_means_by_hand():
    metric = RankingMetric(ks=(1, 2))
    metric.update(torch.tensor([0, 1, 7]))
    got = metric.compute()
    assert got["Hit@1"].item() == pytest.approx(1 / 3)
    assert got["Recall@2"].item() == pytest.approx(2 / 3)
    assert got["NDCG@2"].item() == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert got["MRR@2"].item() == pytest.approx((1 + 0.5) / 3)


def test_batches_do_not_matter_and_numpy_agrees():
    rank = torch.randint(0, 200, (1000,), generator=torch.Generator().manual_seed(0))
    whole, parts = RankingMetric(), RankingMetric()
    whole.update(rank)
    for part in rank.split(37):
        parts.update(part)
    parts.update(rank[:0])  # an empty batch is nothing
    assert {k: v.item() for k, v in whole.compute().items()} == {k: v.item() for k, v in parts.compute().items()}
    for key, value in whole.compute().items():
        name, _, k = key.partition("@")
        assert value.item() == pytest.approx(values(name, rank.numpy(), int(k)).mean(), abs=1e-7)  # float32 output


def test_no_case_and_negative_ranks_are_refused():
    metric = RankingMetric()
    with pytest.raises(ValueError, match="no case"):
        metric.compute()
    with pytest.raises(ValueError, match="start at 0"):
        metric.update(torch.tensor([-1]))


def _worker(process: int, port: int, queue) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=process, world_size=2)
    metric = RankingMetric(ks=(10,))
    metric.update(torch.arange(21)[process::2])  # 11 and 10 cases: unequal on purpose
    queue.put(metric.compute()["NDCG@10"].item())
    dist.destroy_process_group()


def test_two_processes_equal_one(free_port):
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    workers = [context.Process(target=_worker, args=(i, free_port, queue)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0]
    one = RankingMetric(ks=(10,))
    one.update(torch.arange(21))
    assert [queue.get(), queue.get()] == [one.compute()["NDCG@10"].item()] * 2


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
