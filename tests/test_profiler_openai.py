"""The served engine against a stub on the loopback: requests, retries, keys, failures."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pte.artifact import RecordLog
from pte.profiler import openai
from pte.profiler.openai import OpenAIProfiler
from pte.profiler.prompt import Evidence
from pte.schema import InputError, visible_view


class Stub(BaseHTTPRequestHandler):
    """Answers every question, after failing as often as it is told to."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((body, self.headers.get("Authorization")))
        failing = self.server.fail > 0
        self.server.fail -= failing
        lead = body["messages"][0]["content"].rsplit("Begin your answer with: ", 1)[-1]
        content = f"{lead} quiet trains and {len(body['messages'][0]['content'])} more."
        answer = {"choices": [{"message": {"content": content}}], "usage": {"completion_tokens": 7}}
        data = json.dumps({"error": "no"} if failing else self.server.answer or answer).encode()
        self.send_response(self.server.code if failing else 200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(openai.time, "sleep", lambda seconds: None)
    monkeypatch.delenv("PTE_TEST_KEY", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.seen, server.fail, server.code, server.answer = [], 0, 503, None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def view(twelve, twelve_split):
    return visible_view(twelve, twelve_split)


def profiler(server, **changes) -> OpenAIProfiler:
    values = {
        "model": "stub",
        "base_url": f"http://127.0.0.1:{server.server_port}/v1",
        "key_variable": "PTE_TEST_KEY",
        "num_candidates": 2,
        "rounds": 2,
        "item_forms": ["what", "who"],
        "user_forms": ["taste", "likes"],
        "evidence": Evidence(),
        "temperatures": [0.7],
        "top_p": 0.9,
        "max_new_tokens": 30,
        "parallel": 3,
        "timeout_seconds": 5.0,
    }
    return OpenAIProfiler(**values | changes)


def test_answers_become_profiles(server, view, tmp_path):
    found = profiler(server).profile(view, log=RecordLog(tmp_path), say=print)
    assert found.item[3][1].startswith("Heat (Crime). It suits people who like quiet trains and")
    assert all(g.parsed for g in found.generations)
    body, authorization = server.seen[0]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("stub", 0.7, 0.9, 30)
    assert authorization is None
    assert profiler(server).rebuild(view, found.generations) == found


def test_a_second_run_asks_nothing(server, view, tmp_path):
    profiler(server).profile(view, log=RecordLog(tmp_path), say=print)
    asked = len(server.seen)
    profiler(server).profile(view, log=RecordLog(tmp_path), say=print)
    assert len(server.seen) == asked


def test_what_passes_is_tried_again(server, view, tmp_path):
    server.fail = 3
    found = profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path), say=print)
    assert all(g.parsed for g in found.generations)


def test_a_key_is_sent_and_never_stored(server, view, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_TEST_KEY", "sk-secret")
    said = []
    profiler(server).profile(view, log=RecordLog(tmp_path), say=said.append)
    assert server.seen[0][1] == "Bearer sk-secret"
    written = "".join(path.read_text() for path in tmp_path.glob("*"))
    assert "sk-secret" not in written + "".join(said)


def test_a_key_does_not_travel_in_the_open(server, view, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_TEST_KEY", "sk-secret")
    with pytest.raises(InputError, match="would travel in the open"):
        profiler(server, base_url="http://example.invalid/v1").profile(view, log=RecordLog(tmp_path), say=print)


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "Set the environment variable PTE_TEST_KEY"), (404, "HTTP 404"), (302, "HTTP 302")]
)
def test_what_does_not_pass_ends_the_run(server, view, tmp_path, code, hint):
    server.fail, server.code = 10**6, code
    with pytest.raises(InputError, match=hint):
        profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path), say=print)
    assert len(server.seen) <= 4


def test_no_server_is_told(server, view, tmp_path):
    with pytest.raises(InputError, match="does not answer"):
        profiler(server, base_url="http://127.0.0.1:9/v1").profile(view, log=RecordLog(tmp_path), say=print)


def test_another_kind_of_server_is_told(server, view, tmp_path):
    server.answer = {"hello": 1}
    with pytest.raises(InputError, match="is it a chat server"):
        profiler(server).profile(view, log=RecordLog(tmp_path), say=print)


@pytest.mark.parametrize(
    "wrong", [{"base_url": "localhost:8000"}, {"base_url": "file:///etc/passwd"}, {"parallel": 0}, {"model": None}]
)
def test_settings_that_cannot_be_are_refused(server, wrong):
    with pytest.raises(InputError, match="profiler"):
        profiler(server, **wrong)
