"""The served engine against servers that are slow, broken, busy, wrong or talkative."""

import asyncio
import json
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import httpx
import pytest

from pte.profiler.base import Query, Request
from pte.profiler.engine import openai
from pte.profiler.engine.arrival import FEW
from pte.profiler.engine.chat import Sampling, retry_after
from pte.profiler.engine.openai import OpenAIEngine
from pte.profiler.prompt import Prompt
from pte.profiler.text.parse import read
from pte.schema import InputError

REAL_SLEEP = asyncio.sleep
GOOD = {"choices": [{"message": {"content": "This is a film."}, "finish_reason": "stop"}], "usage": {}}
KEYS = [
    "sk-proj-abcDEF0123456789abcDEF", "sk-ant-api03-abcDEF0123456789", "hf_abcDEF0123456789abcDEF",
    "gsk_abcDEF0123456789abcDEF", "AIzaSyabcDEF0123456789", "AKIAABCDEFGHIJKLMNOP", "nvapi-abcDEF0123456789",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "0f8fad5b-d9cb-469f-a165-70867728950e", "a/b+c=d\"e~f==",
]  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """Plays `fault` on every request whose number is in `faulty`, else answers."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            number, server.count, server.busy = server.count, server.count + 1, server.busy + 1
            server.most = max(server.most, server.busy)
        try:
            if number in server.faulty:
                server.fault(self, body)
            else:
                time.sleep(server.seconds)
                self.answer(200, json.dumps(GOOD).encode())
        finally:
            with server.lock:
                server.busy -= 1

    def answer(self, code, data, length=None):
        self.send_response(code)
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        with suppress(OSError):  # the other end may have gone
            self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    async def sleep(seconds):
        await REAL_SLEEP(0)

    monkeypatch.setattr(openai.asyncio, "sleep", sleep)
    monkeypatch.delenv("PTE_TEST_KEY", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.lock, server.count, server.busy, server.most = threading.Lock(), 0, 0, 0
    server.faulty, server.seconds, server.over = set(), 0.0, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def engine(server, parallel=1, timeout=5.0) -> OpenAIEngine:
    return OpenAIEngine(
        "stub",
        f"http://127.0.0.1:{server.server_port}/v1",
        Sampling([0.7], top_p=1.0, max_new_tokens=9),
        openai.Server(key_variable="PTE_TEST_KEY", parallel=parallel, timeout_seconds=timeout),
    )


def requests(count):
    return [Request(f"{i:064x}", Query(Prompt("what", "Do.", f"data {i}", "This is"), 0, 0.7)) for i in range(count)]


def hangs(handler, body):
    handler.server.over.wait(3)  # beyond the client's patience


def half_a_body(handler, body):
    data = json.dumps(GOOD).encode()
    handler.answer(200, data[:20], length=len(data))
    handler.close_connection = True


def half_a_json(handler, body):
    handler.answer(200, json.dumps(GOOD).encode()[:20])


def hangs_up(handler, body):
    handler.connection.close()
    handler.close_connection = True


@pytest.mark.parametrize("fault", [hangs, half_a_body, half_a_json, hangs_up])
def test_what_breaks_once_is_asked_again(server, fault):
    server.fault, server.faulty = fault, {1}
    found = list(engine(server, timeout=0.3).generate(requests(3)))
    assert [r.completion.text for r in found] == ["This is a film."] * 3
    assert server.count == 4


def busy(handler, body):
    handler.send_response(429)
    handler.send_header("Retry-After", "1")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def broken(handler, body):
    handler.answer(500, b"<html>Internal Server Error</html>")


def says(message, reason="stop"):
    answer = {"choices": [{"message": message, "finish_reason": reason}]}
    return lambda handler, body: handler.answer(200, json.dumps(answer).encode())


def test_a_faulty_proxy_costs_no_answer_but_those_without_text(server):
    """Every kind of fault among good answers, four requests at a time: the right results in the end."""
    thoughts = "<think>\nIs it a film?\n</think>\n\nThis is a film."
    faults = {
        0: busy, 2: broken, 4: hangs, 6: half_a_json, 8: half_a_body, 10: hangs_up, 12: refuses_one,
        14: says({"content": None, "reasoning_content": "hm"}), 16: says({"content": thoughts}),
        18: says({"content": None, "refusal": "no"}), 20: says({"content": "This is a film that"}, "length"),
    }  # fmt: skip
    order = iter(range(99))
    server.faulty, server.seconds = set(range(0, 22, 2)), 0.01

    def fault(handler, body):
        with server.lock:
            kind = list(faults.values())[next(order)]
        kind(handler, body)

    server.fault = fault
    results = {r.key: r.completion for r in engine(server, parallel=4, timeout=0.5).generate(requests(40))}
    assert results.keys() == {r.key for r in requests(40)}
    finish = [c.finish for c in results.values()]
    assert {name: finish.count(name) for name in set(finish)} == {
        "stop": 36, "error": 1, "empty": 1, "refusal": 1, "length": 1,
    }  # fmt: skip
    texts = [read("This is", c.text) for c in results.values() if c.finish == "stop"]
    assert texts == ["This is a film."] * 36
    assert server.count == 40 + 6, "six faults pass with time"
    assert server.most <= 4 + 1, "one that hangs is given up here before it ends there"


@pytest.mark.parametrize("fault", [half_a_json, hangs_up])
def test_what_stays_broken_is_one_sentence_and_keeps_what_was_answered(server, fault):
    server.fault, server.faulty = fault, set(range(2, 99))
    kept = []
    with pytest.raises(InputError, match=rf"gave no answer in {openai.TRIES} tries .* type the same command again"):
        _each(engine(server), 5, kept)
    assert len(kept) == 2


def _each(engine, count, kept):
    """Keep every result as it arrives."""
    for result in engine.generate(requests(count)):
        kept.append(result)


def test_a_model_the_server_does_not_know_is_named(server):
    error = {"error": {"message": "The model `stub` does not exist.", "code": "model_not_found"}}
    server.fault, server.faulty = lambda h, body: h.answer(404, json.dumps(error).encode()), {0}
    with pytest.raises(InputError, match=r"does not exist.*that the server knows profiler\.model=stub"):
        list(engine(server).generate(requests(3)))
    assert server.count == 1


@pytest.mark.parametrize(
    ("words", "of_the_prompt"),
    [
        ({"detail": "Server is pinned to '/a/model'; requested 'stub'."}, False),  # transformers serve 5.23
        ({"error": {"message": "Unknown model: stub"}}, False),
        ({"error": {"message": "The model `stub` does not exist"}}, False),
        ({"error": {"message": "This model's maximum context length is 8192 tokens"}}, True),
    ],
)
def test_a_400_for_another_model_is_no_fault_of_the_prompt(server, words, of_the_prompt):
    server.fault, server.faulty = lambda h, body: h.answer(400, json.dumps(words).encode()), {0}
    if of_the_prompt:
        assert [r.completion.finish for r in engine(server).generate(requests(2))] == ["error", "stop"]
        return
    with pytest.raises(InputError, match=r"that the server knows profiler\.model=stub"):
        list(engine(server).generate(requests(2)))


def test_requests_in_flight_never_exceed_their_bound(server):
    server.seconds = 0.02
    assert len(list(engine(server, parallel=3).generate(requests(24)))) == 24
    assert 1 < server.most <= 3


def refuses_one(handler, body):
    handler.answer(400, b'{"error": {"message": "this prompt is too odd"}}')


@pytest.mark.parametrize(("every", "whole"), [(2, False), (11, True)])
def test_a_share_of_failures_ends_the_run(server, every, whole):
    """Every second prompt refused: over after twenty; every eleventh: below a tenth, recorded and told apart."""
    server.fault, server.faulty = refuses_one, set(range(every - 1, 99, every))
    results: list = []
    if not whole:
        with pytest.raises(InputError, match=r"10 of 20 requests .* profiler\.server\.failure_share=0\.1.*too odd"):
            _each(engine(server), 40, results)
        assert len(results) == FEW
        return
    _each(engine(server), 40, results)
    assert [r.completion.finish for r in results].count("error") == 3
    assert len(results) == 40


def test_retries_may_all_fail_where_they_are_few_of_what_was_wanted(server):
    """25 of 250 are the tenth that is tolerated: prompts that never succeed. Of 249 they are more: a broken server."""
    server.fault, server.faulty = refuses_one, set(range(99))
    again = [replace(request, attempt=1, of=250) for request in requests(25)]
    assert [r.completion.finish for r in engine(server).generate(again)] == ["error"] * 25
    with pytest.raises(InputError, match=r"20 of 20 requests .* profiler\.server\.failure_share=0\.1"):
        list(engine(server).generate([replace(request, of=249) for request in again]))


@pytest.mark.parametrize("seconds", [30, -30])
def test_retry_after_may_be_a_date(seconds):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    found = retry_after(httpx.Response(429, headers={"Retry-After": date}))
    assert found == pytest.approx(max(seconds, 0), abs=10)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "32 Nov 2026"])
def test_a_retry_after_that_says_nothing_is_left_out(value):
    assert retry_after(httpx.Response(429, headers={"Retry-After": value})) is None


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("code", [401, 400, 503, 200])
def test_a_key_of_any_shape_is_in_no_output(server, monkeypatch, caplog, capfd, key, code):
    """The server repeats it raw, in JSON and as part of a URL, also across the place where its words are cut."""
    monkeypatch.setenv("PTE_TEST_KEY", key)
    words = f"wrong key {key} at /v1?key={quote(key, safe='')} " + "." * (285 - len(key) // 2) + key
    server.fault = lambda h, body: h.answer(code, json.dumps({"error": {"message": words}}).encode())
    server.faulty, results, caught = set(range(99)), [], ""
    try:
        _each(engine(server), 1, results)
    except InputError as error:
        caught = "".join(traceback.format_exception(error))
    output = "".join([caught, repr(results), caplog.text, *capfd.readouterr()])
    assert "wrong key" in output
    for form in (key, quote(key, safe=""), json.dumps(key)[1:-1], key[: len(key) // 2 + 3]):
        assert form not in output
