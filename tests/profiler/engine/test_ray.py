"""The Ray engine: rows, configurations, a worker's session; with ray installed, a cluster of two workers."""

import asyncio
import json
import os
import signal
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from pte.profiler.base import Completion, Query, Request
from pte.profiler.engine import openai
from pte.profiler.engine.chat import SCHEMA, Sampling
from pte.profiler.engine.fleet import REST, Fleet
from pte.profiler.engine.openai import OpenAIEngine, Server
from pte.profiler.engine.ray import Cluster, RayEngine, messages, payload, result_row, words
from pte.profiler.openai import OpenAIProfiler
from pte.profiler.prompt import Evidence, Prompt
from pte.profiler.ray import RayProfiler
from pte.profiler.store.log import RecordLog
from pte.profiler.text.style import JSON_LEAD
from pte.schema import InputError, visible_view

DECODING = Sampling([0.0], top_p=0.9, max_new_tokens=9)
REAL_SLEEP = asyncio.sleep


class Stub(BaseHTTPRequestHandler):
    """Answers a question with a text that depends on it alone, or as `fault` says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            number, server.busy = len(server.seen), server.busy + 1
            server.seen.append(body["messages"][0]["content"])
            server.most = max(server.most, server.busy)
        time.sleep(0.01)
        code = server.fault(number, body) if server.fault else 200
        text = f"This is a film of {len(server.seen[number])} letters, {body['seed']}."
        usage = {"completion_tokens": 7, "prompt_tokens": 5}
        answer = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage}
        data = json.dumps(answer if code == 200 else {"error": {"message": "not this one"}}).encode()
        with server.lock:
            server.busy -= 1
        with suppress(OSError):
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def stubs(monkeypatch):
    """Two servers of one model; the second is a replica."""
    monkeypatch.delenv("PTE_TEST_KEY", raising=False)
    servers = []
    for _ in range(2):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
        server.lock, server.seen, server.busy, server.most, server.fault = threading.Lock(), [], 0, 0, None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


def served(stub, **knobs) -> OpenAIEngine:
    server = {"key_variable": "PTE_TEST_KEY", "parallel": 3, "timeout_seconds": 5.0} | knobs
    return OpenAIEngine("stub", f"http://127.0.0.1:{stub.server_port}/v1", DECODING, Server(**server))


def engine(folder, stubs=(), **knobs) -> RayEngine:
    cluster = {"workers": [2, 2], "batch_size": 8} | knobs.pop("cluster", {})
    return RayEngine("stub", [served(stub) for stub in stubs], folder, DECODING, Cluster(**cluster), **knobs)


def requests(count, lead="This is"):
    return [Request(f"{i:064x}", Query(Prompt("what", "Do.", f"data {i}", lead), 0, 0.0)) for i in range(count)]


def test_a_row_is_a_key_and_a_body_of_the_chat_protocol(tmp_path):
    (row,) = engine(tmp_path).rows(requests(1))
    assert row["key"] == "0" * 64
    body = {
        "model": "stub", "temperature": 0.0, "seed": 0, "top_p": 0.9, "max_tokens": 9,
        "messages": [{"role": "user", "content": "Do.\n\ndata 0\n\nBegin your answer with: This is"}],
    }  # fmt: skip
    assert payload(row) == {"payload": body}
    sampling = {"temperature": 0.0, "top_p": 0.9, "max_tokens": 9, "seed": 0}
    assert messages(row) == {"messages": body["messages"], "sampling_params": sampling}


def test_a_schema_is_requested_of_vllm_in_its_own_words(tmp_path):
    (row,) = engine(tmp_path).rows(requests(1, JSON_LEAD))
    assert messages(row)["sampling_params"]["structured_outputs"] == {"json": SCHEMA}


@pytest.mark.parametrize(
    ("left", "done"),
    [
        ({"generated_text": "A.", "num_generated_tokens": 3, "num_input_tokens": 8}, ("A.", 3, "stop", 8, "")),
        ({"generated_text": "A", "num_generated_tokens": 9, "num_input_tokens": 8}, ("A", 9, "length", 8, "")),
        ({"__inference_error__": "ValueError: long", "generated_text": ""}, ("", 0, "error", 0, "ValueError: long")),
        ({"__inference_error__": "", "generated_text": "A.", "num_generated_tokens": 1, "num_input_tokens": 1},
         ("A.", 1, "stop", 1, "")),
        ({"http_response": {"text": "x", "tokens": 1, "finish": "stop", "prompt_tokens": 2, "detail": ""}},
         ("x", 1, "stop", 2, "")),
    ],
)  # fmt: skip
def test_either_processor_leaves_a_result_of_the_same_columns(tmp_path, left, done):
    (row,) = engine(tmp_path).rows(requests(1))
    columns = ("text", "tokens", "finish", "prompt_tokens", "detail")
    assert result_row(row | left) == {"key": "0" * 64, **dict(zip(columns, done, strict=True))}


def test_the_pool_and_the_model_stand_in_rays_configuration(tmp_path, stubs):
    llm = SimpleNamespace(vLLMEngineProcessorConfig=dict, HttpRequestProcessorConfig=dict)
    cluster = {"workers": [1, 4], "engine_kwargs": {"tensor_parallel_size": 2}}
    local = engine(tmp_path, model_kwargs={"dtype": "bfloat16"}, cluster=cluster).config(llm)
    assert local == {
        "model_source": "stub", "engine_kwargs": {"dtype": "bfloat16", "tensor_parallel_size": 2},
        "concurrency": (1, 4), "batch_size": 8, "should_continue_on_error": True,
    }  # fmt: skip
    remote = engine(tmp_path, stubs).config(llm)
    assert (remote["concurrency"], remote["url"]) == (
        (2, 2),
        f"http://127.0.0.1:{stubs[0].server_port}/v1/chat/completions",
    )
    assert [s.url for s in remote["session_factory"].servers] == [served(stub).url for stub in stubs]


def test_the_key_is_that_of_the_served_engine_and_says_what_vllm_loads(tmp_path, stubs):
    assert engine(tmp_path, stubs).identity() == served(stubs[0]).identity()
    one, two = (engine(tmp_path, model_kwargs=kwargs).identity() for kwargs in ({}, {"revision": "a"}))
    assert one != two
    assert engine(tmp_path, cluster={"engine_kwargs": {"tensor_parallel_size": 2}}).identity() == one


def post(fleet, rows):
    """As ray.llm's HttpRequestUDF does: everything posted, then awaited one by one."""

    async def batch():
        async with fleet() as session:
            pending = [session.post("", headers={}, data=row["body"]) for row in rows]
            answers = []
            for request in pending:
                async with await request as response:
                    assert response.status == 200
                    answers.append(await response.json())
            return answers

    return asyncio.run(batch())


def test_a_worker_asks_all_servers_in_turn_and_no_more_than_its_bound_at_a_time(tmp_path, stubs):
    rows = list(engine(tmp_path, stubs).rows(requests(24)))
    answers = post(Fleet([served(stub) for stub in stubs]), rows)
    assert [a["text"][-3:] for a in answers] == [" 0."] * 24, "seeds are of the key's first digits"
    assert (len(stubs[0].seen), len(stubs[1].seen)) == (12, 12)
    assert 1 < max(stub.most for stub in stubs) <= 3


def test_a_replica_stands_in_and_a_refused_prompt_is_a_result(tmp_path, stubs, monkeypatch):
    async def sleep(seconds):
        await REAL_SLEEP(0)

    monkeypatch.setattr(openai.asyncio, "sleep", sleep)
    stubs[0].fault = lambda number, body: 503
    stubs[1].fault = lambda number, body: 400 if "data 2" in body["messages"][0]["content"] else 200
    rows = list(engine(tmp_path, stubs).rows(requests(4)))
    answers = post(Fleet([served(stub, parallel=1) for stub in stubs]), rows)
    assert [a["finish"] for a in answers] == ["stop", "stop", "error", "stop"]
    assert "not this one" in answers[2]["detail"]
    stubs[1].fault = stubs[0].fault
    with pytest.raises(InputError, match="gave no answer"):
        post(Fleet([served(stub) for stub in stubs]), rows)


def test_a_server_without_an_answer_rests(monkeypatch):
    """Of three in turn the first is down: it is asked once a minute; where all rest, the one that wakes first is."""
    now, places, down = [0.0], [], {0}

    class One:
        server = Server(parallel=1)

        def __init__(self, place):
            self.place = place

        async def completion(self, client, fields, key):
            places.append(self.place)
            if self.place in down:
                now[0] += 1
                raise InputError(f"server {self.place} gave no answer")
            return Completion("yes", 1)

    fleet = Fleet([One(place) for place in range(3)], clock=lambda: now[0])

    def query(count):
        places.clear()
        for _ in range(count):
            asyncio.run(fleet.completion({}, [None] * 3, [""] * 3))
        return list(places)

    assert query(1) == [0, 1]
    assert set(query(5)) == {1, 2}
    now[0] = REST - 1
    assert set(query(3)) == {1, 2}
    now[0] = REST + 1
    assert query(3).count(0) == 1, "its turn comes once, and it rests again"
    down |= {1, 2}
    with pytest.raises(InputError, match="gave no answer"):
        query(1)
    assert sorted(places) == [0, 1, 2], "all are asked before it is given up"
    down.clear()
    first = places[0]
    assert query(1) == [first], "it wakes first"


def test_results_are_read_once_and_too_many_failures_end_the_run(tmp_path):
    """Two files, of which the second repeats the first; no cluster is needed where all is answered."""
    order = requests(20)
    (tmp_path / "results").mkdir()
    columns = {"tokens": 1, "finish": "stop", "prompt_tokens": 1, "detail": ""}
    first = [{"key": r.key, "text": "first", **columns} for r in order]
    pl.DataFrame(first).write_parquet(tmp_path / "results" / "a.parquet")
    pl.DataFrame([row | {"text": "second"} for row in first]).write_parquet(tmp_path / "results" / "b.parquet")
    found = list(engine(tmp_path).generate(order))
    assert [(r.key, r.completion.text) for r in found] == [(r.key, "first") for r in order]
    failed = [row | {"finish": "error", "detail": "too long"} for row in first[:3]]
    pl.DataFrame(failed).write_parquet(tmp_path / "results" / "a.parquet")
    pl.DataFrame(first[3:]).write_parquet(tmp_path / "results" / "b.parquet")
    paid = []
    with pytest.raises(InputError, match=r"3 of 20 requests failed.*failure_share=0\.1.*too long"):
        paid.extend(engine(tmp_path).generate(order))
    assert [r.completion.finish for r in paid] == ["stop"] * 17  # what was answered is handed on before
    assert len(list(engine(tmp_path, failure_share=0.2).generate(order))) == 20
    (tmp_path / "results" / "c.parquet").write_bytes(b"PAR1 torn")
    assert len(list(engine(tmp_path, failure_share=0.2).generate(order))) == 20


def test_what_a_worker_wrote_is_reported():
    class TaskError(Exception):
        cause = InputError("the server is away")

    assert words(TaskError("RayTaskError(InputError)\n  File ...")) == "the server is away"
    assert words(ValueError("trace\npte.schema.error.InputError: it is away.\n")) == "it is away"
    assert words(ValueError("first\nlast line")) == "last line"


@pytest.fixture(autouse=True)
def _installed(monkeypatch, request):
    """Settings are checked where ray is not installed too."""
    if "two_workers" not in request.fixturenames:
        monkeypatch.setattr("pte.profiler.ray.find_spec", lambda name: True)


def profiler(place, **changes) -> RayProfiler:
    values = {
        "model": "stub", "folder": str(place), "base_url": "http://127.0.0.1:9/v1", "num_candidates": 2, "rounds": 2,
        "item_forms": ["what", "who"], "user_forms": ["taste", "likes"], "evidence": Evidence(), "decoding": DECODING,
        "cluster": Cluster(), "server": Server(key_variable="PTE_TEST_KEY"),
    }  # fmt: skip
    return RayProfiler(**values | changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: profiler(folder, model=None), "profiler.model=NAME"),
        (lambda folder: profiler(folder, folder=None), "profiler.folder=PATH"),
        (lambda folder: Cluster(workers=[0, 2]), r"workers=\[0, 2\]"),
        (lambda folder: Cluster(workers=[3, 2]), r"workers=\[3, 2\]"),
        (lambda folder: Cluster(batch_size=0), "batch_size=0"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        make(tmp_path)


def test_without_ray_it_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("pte.profiler.ray.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed here \(ray, pyarrow, aiohttp\): pip install 'pte\[ray\]'$"):
        profiler(tmp_path)
    with pytest.raises(InputError, match=r"\(ray, pyarrow, vllm\).*in an environment of its own"):
        profiler(tmp_path, base_url=None)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """A cluster of this machine; ray gives a node half a minute to come up, which a busy machine may not keep."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'pte[ray]'")
    for _ in range(3):
        with suppress(Exception):
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            break
        ray.shutdown()
    if not ray.is_initialized():
        pytest.skip("no local cluster of ray came up in half a minute, three times")
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_a_cluster_writes_the_store_of_the_process_itself(two_workers, stubs, tmp_path, twelve, twelve_split):
    view, url = visible_view(twelve, twelve_split), f"http://127.0.0.1:{stubs[0].server_port}/v1"
    loop = {"base_url": url, "rounds": 1, "retries": 0}
    cluster = Cluster(workers=[2, 2], batch_size=4)
    far = profiler(tmp_path / "files", cluster=cluster, **loop).profile(view, log=(log := RecordLog(tmp_path / "far")))
    count = len(stubs[0].seen)
    assert all(g.parsed for g in far.generations if g.prompt)
    near = OpenAIProfiler(
        model="stub", base_url=url, num_candidates=2, rounds=1, retries=0, item_forms=["what", "who"],
        user_forms=["taste", "likes"], evidence=Evidence(), decoding=DECODING,
        server=Server(key_variable="PTE_TEST_KEY"),
    )  # fmt: skip
    own = RecordLog(tmp_path / "near")
    assert near.profile(view, log=own) == far
    mine, theirs = (
        pl.concat(map(pl.read_parquet, folder.folder.glob("*/*.parquet"))).sort("key") for folder in (own, log)
    )
    assert mine.equals(theirs)
    assert len(stubs[0].seen) == 2 * count == 2 * len(own)
    near.profile(view, log=RecordLog(tmp_path / "far"))
    assert len(stubs[0].seen) == 2 * count, "what the cluster wrote is known to the process"


def descends(process):
    """Whether it descends from this one."""
    while process.name not in ("0", "1", str(os.getpid())):
        process = process.parent / (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
    return process.name == str(os.getpid())


def kill_a_worker():
    """SIGKILL to one of the processes that hold the HTTP stage."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (process / "cmdline").read_text()
            if name.startswith("ray::") and "HttpRequest" in name and descends(process):
                os.kill(int(process.name), signal.SIGKILL)
                return True
    return False


@pytest.mark.slow
def test_a_killed_worker_costs_its_batch_alone(two_workers, stubs, tmp_path):
    order, dead = requests(96), []

    def fault(number, body):
        if number >= 30 and not dead and kill_a_worker():
            dead.append(number)
        return 200

    stubs[0].fault = fault
    found = list(engine(tmp_path, stubs[:1]).generate(order))
    assert sorted(r.key for r in found) == [r.key for r in order]
    assert dead
    assert 96 <= len(stubs[0].seen) <= 96 + 2 * 8, "a worker has a batch at work, and the next one's results unwritten"


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(two_workers, stubs, tmp_path):
    """The server turns away everybody after sixty answers; the next run asks for what is not in the checkpoint."""
    order = requests(96)
    stubs[0].fault = lambda number, body: 404 if number >= 60 else 200
    with pytest.raises(InputError, match=r"profiler=ray: .*HTTP 404.*type the same command again"):
        list(engine(tmp_path, stubs[:1]).generate(order))
    known = pl.read_parquet(tmp_path / "checkpoint" / "*.parquet")["key"].to_list()
    written = pl.read_parquet(tmp_path / "results" / "*.parquet")["key"].to_list()
    assert sorted(known) == sorted(written)
    assert 0 < len(known) < 96
    stubs[0].fault, before = None, len(stubs[0].seen)
    found = list(engine(tmp_path, stubs[:1]).generate(order))
    assert sorted(r.key for r in found) == [r.key for r in order]
    assert len(stubs[0].seen) - before == 96 - len(known)
