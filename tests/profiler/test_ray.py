"""The loop over a real local Ray cluster of two workers and a server on the loopback; what needs no Ray, without it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from helper import echo_server

from pte.artifact import RecordLog
from pte.profiler.base import Ask, Request
from pte.profiler.engine import cluster
from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.cluster import Cluster, ClusterEngine
from pte.profiler.engine.openai import OpenAIEngine, Server
from pte.profiler.openai import OpenAIProfiler
from pte.profiler.prompt import Evidence, Prompt
from pte.profiler.ray import RayProfiler
from pte.schema import InputError, visible_view

SAMPLING = Sampling([0.0], top_p=1.0, max_new_tokens=30)
HERE = Path(__file__).resolve().parents[2]


@pytest.fixture
def server():
    server = echo_server.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ray():
    return pytest.importorskip("ray", reason="Ray is not installed: pip install 'pte[ray]'")


def url(server) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


def engine(server, folder, **knobs) -> ClusterEngine:
    return ClusterEngine("stub", url(server), folder, SAMPLING, Cluster(**{"batch_size": 4, **knobs}))


def requests(count, words="thing"):
    return [Request(f"{i:064x}", Ask(Prompt("what", "Do.", f"{words} {i}", "This is"), 0, 0.0)) for i in range(count)]


def each(engine, count, got) -> None:
    """Results one by one, so that those before a stop are there."""
    for result in engine.generate(requests(count)):
        got.append(result)


def records(log: RecordLog) -> dict:
    return {key: (r["completion"], r["tokens"], r["finish"]) for key, r in log._records.items()}


LOOP = {"num_candidates": 2, "rounds": 2, "item_forms": ["what", "who"], "user_forms": ["taste", "likes"],
        "evidence": Evidence()}  # fmt: skip


def test_two_workers_write_the_store_that_one_process_writes(ray, server, tmp_path, twelve, twelve_split):
    view = visible_view(twelve, twelve_split)
    logs = [RecordLog(tmp_path / name) for name in ("one", "many")]
    one = OpenAIProfiler(model="stub", base_url=url(server), decoding=SAMPLING, server=Server(), **LOOP)
    many = RayProfiler(
        model="stub", base_url=url(server), folder=str(tmp_path / "ray"), decoding=SAMPLING, cluster=Cluster(), **LOOP
    )
    texts = [profiler.profile(view, log=log) for profiler, log in zip((one, many), logs, strict=True)]
    assert texts[0] == texts[1]
    assert records(logs[0]) == records(logs[1])
    assert set(server.asked.values()) == {2}, "once by each"
    many.profile(view, log=RecordLog(tmp_path / "anew"))
    assert set(server.asked.values()) == {2}, "what lies in result files is not asked for again"


def test_a_killed_worker_is_replaced(ray, server, tmp_path):
    server.seconds = 0.05
    killed: list = []

    def kill():
        """The first process that asks."""
        for _ in range(600):
            if len(server.asked) > 5:
                shown = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
                mine = [line.split()[0] for line in shown.splitlines() if "ray::" in line and "HttpRequest" in line]
                if mine:
                    killed.append(int(mine[0]))
                    os.kill(killed[0], signal.SIGKILL)
                    return
            time.sleep(0.1)

    threading.Thread(target=kill, daemon=True).start()
    found = {r.key: r.completion for r in engine(server, tmp_path).generate(requests(120))}
    assert killed
    assert len(found) == 120
    assert all(done.finish == "stop" for done in found.values())
    assert sum(server.asked.values()) <= 120 + 2 * 120 / (cluster.FILES * 2) + 8, "a block or two, no more"


def test_a_killed_run_goes_on_at_its_checkpoint(ray, server, tmp_path):
    """The driver is killed when some answers are written; the same requests then ask for the rest alone."""
    server.seconds = 0.05
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from types import SimpleNamespace; from pathlib import Path\n"
        "from profiler.test_ray import engine, requests\n"
        "list(engine(SimpleNamespace(server_port=int(sys.argv[1])), Path(sys.argv[2])).generate(requests(160)))"
    )
    words = [str(server.server_port), str(tmp_path), str(HERE), str(HERE / "tests")]
    running = subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=True)
    for _ in range(1200):
        if len(list(tmp_path.glob("*/result/*.parquet"))) >= 3:
            break
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(3)  # Ray's own processes see that their driver is gone
    before = sum(server.asked.values())
    kept = sum(len(pl.read_parquet(file)) for file in tmp_path.glob("*/result/*.parquet"))
    assert 0 < kept < 160
    found = list(engine(server, tmp_path).generate(requests(160)))
    assert len({r.key for r in found}) == len(found) == 160
    assert sum(server.asked.values()) - before <= 160 - kept


def test_a_refused_prompt_is_a_result_and_many_end_the_run(ray, server, tmp_path):
    server.refuse = "thing 7"
    found = {r.key: r.completion for r in engine(server, tmp_path / "few").generate(requests(24))}
    assert [done.detail for done in found.values() if done.finish == "error"] == ["this prompt is too odd"]
    server.refuse = "thing 1"
    got: list = []
    with pytest.raises(InputError, match=r"11 of 24 answers are failures.*too odd"):
        each(engine(server, tmp_path / "many"), 24, got)
    assert len(got) == 13, "what was answered is handed on, and logged, before the run ends"


def test_without_ray_the_install_line_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    made = ClusterEngine("m", "http://localhost:1/v1", tmp_path, SAMPLING, Cluster())
    with pytest.raises(InputError, match=r"pip install 'pte\[ray\]'"):
        list(made.generate(requests(2)))


def test_results_are_read_whatever_lies_beside_them(tmp_path):
    """Half a file, foreign keys, a failure beside an answer."""
    made = ClusterEngine("m", "http://localhost:1/v1", tmp_path, SAMPLING, Cluster())
    folder = tmp_path / "leg" / "result"
    folder.mkdir(parents=True)
    good = '{"choices": [{"message": {"content": "This is it."}, "finish_reason": "stop"}]}'
    pl.DataFrame({"key": ["a", "b", "z"], "answer": ['{"error": {"message": "no"}}', good, good]}).write_parquet(
        folder / "0.parquet"
    )
    pl.DataFrame({"key": ["a"], "answer": [good]}).write_parquet(folder / "1.parquet")
    whole = (folder / "0.parquet").read_bytes()
    (folder / "2.parquet").write_bytes(whole[: len(whole) // 2])
    found = made._results({"a", "b", "c"})
    assert {key: done.finish for key, done in found.items()} == {"a": "stop", "b": "stop"}


def test_the_key_is_that_of_the_server_asked_one_by_one(tmp_path):
    many = ClusterEngine("m", "http://localhost:1/v1", tmp_path, SAMPLING, Cluster(), seed=3)
    assert many.identity() == OpenAIEngine("m", "http://localhost:1/v1", SAMPLING, Server(), seed=3).identity()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"batch_size": 0}, {"retries": -1}, {"failure_share": 2},
                                   {"key_variable": "sk-abcdefghijklmnop1234"}])  # fmt: skip
def test_a_cluster_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        Cluster(**wrong)
    with pytest.raises(InputError, match=r"profiler\.folder=PATH"):
        RayProfiler(model="m", base_url=None, folder=None, decoding=SAMPLING, cluster=Cluster(), **LOOP)


def test_vllm_rows_read_as_a_server_would_answer():
    row = {"key": "a", "generated_text": "This is it.", "num_generated_tokens": 4, "num_input_tokens": 9}
    done = cluster._completion(json.loads(cluster._vllm_answer(row)["answer"]))
    assert (done.text, done.tokens, done.prompt_tokens) == ("This is it.", 4, 9)
    failed = cluster._vllm_answer({"key": "a", "__inference_error__": "too long"})["answer"]
    assert cluster._completion(json.loads(failed)).detail == "too long"
