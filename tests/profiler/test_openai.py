"""The served engine against a stub on the loopback: requests, retries, keys, failures."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pte.profiler.engine import openai
from pte.profiler.engine.chat import Sampling, read_answer
from pte.profiler.engine.cost import Tariff
from pte.profiler.engine.openai import Server
from pte.profiler.loop.account import facts
from pte.profiler.openai import OpenAIProfiler
from pte.profiler.prompt import Evidence
from pte.profiler.store.log import RecordLog
from pte.schema import InputError, visible_view

REAL_SLEEP = asyncio.sleep


def quick(waits: list):
    """A sleep that notes what it was asked for and yields at once."""

    async def sleep(seconds):
        waits.append(seconds)
        await REAL_SLEEP(0)

    return sleep


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
        data = json.dumps(self.server.fault if failing else self.server.answer or answer).encode()
        self.send_response(self.server.code if failing else 200)
        self.send_header("Content-Length", str(len(data)))
        if failing and self.server.after:
            self.send_header("Retry-After", self.server.after)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(openai.asyncio, "sleep", quick(waits := []))
    monkeypatch.delenv("PTE_TEST_KEY", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.seen, server.fail, server.code, server.answer = [], 0, 503, None
    server.waits, server.after, server.fault = waits, None, {"error": "no"}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def view(twelve, twelve_split):
    return visible_view(twelve, twelve_split)


KNOBS = ("key_variable", "parallel", "budget_tokens", "budget_money")


def profiler(server, **changes) -> OpenAIProfiler:
    values = {
        "model": "stub",
        "base_url": f"http://127.0.0.1:{server.server_port}/v1",
        "num_candidates": 2,
        "rounds": 2,
        "item_forms": ["what", "who"],
        "user_forms": ["taste", "likes"],
        "evidence": Evidence(),
        "decoding": Sampling([0.7], top_p=0.9, max_new_tokens=30),
    }
    asked = {"key_variable": "PTE_TEST_KEY", "parallel": 3, "timeout_seconds": 5.0}
    asked |= {name: changes.pop(name) for name in KNOBS if name in changes}
    return OpenAIProfiler(**values | changes, server=Server(**asked))


def test_a_refused_prompt_is_asked_again_once_that_is_asked_for(server, view, tmp_path):
    """The profiles of a server that had a fault for one prompt, and of one that has it no more."""
    server.fail, server.code, server.fault = 1, 400, {"error": {"message": "this prompt is too odd"}}
    first = profiler(server).profile(view, log=RecordLog(tmp_path))
    failed = [g for g in first.generations if g.finish == "error"]
    assert [(g.parsed, g.completion) for g in failed] == [(False, "")]
    server.seen.clear()
    profiler(server).profile(view, log=RecordLog(tmp_path))
    assert server.seen == []
    again = profiler(server, failed_retries=1)
    second = again.profile(view, log=RecordLog(tmp_path))
    assert server.seen
    assert all(g.parsed for g in second.generations)
    assert again.rebuild(view, second.generations) == second, "an audit plays it again"


def test_answers_become_profiles(server, view, tmp_path):
    found = profiler(server).profile(view, log=RecordLog(tmp_path))
    assert found.item[3][1].startswith("Heat (Crime). It suits people who like quiet trains and")
    assert all(g.parsed for g in found.generations)
    body, authorization = server.seen[0]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("stub", 0.7, 0.9, 30)
    assert authorization is None
    assert profiler(server).rebuild(view, found.generations) == found


def test_a_second_run_asks_nothing(server, view, tmp_path):
    profiler(server).profile(view, log=RecordLog(tmp_path))
    asked = len(server.seen)
    profiler(server).profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) == asked


def test_what_passes_is_tried_again(server, view, tmp_path):
    server.fail = 3
    found = profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path))
    assert all(g.parsed for g in found.generations)


def test_a_key_is_sent_and_never_stored(server, view, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PTE_TEST_KEY", "sk-secret")
    profiler(server).profile(view, log=RecordLog(tmp_path))
    assert server.seen[0][1] == "Bearer sk-secret"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).decode(errors="replace")
    assert "sk-secret" not in written + "".join(caplog.messages)


def test_a_key_does_not_travel_in_the_open(server, view, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_TEST_KEY", "sk-secret")
    with pytest.raises(InputError, match="would travel in the open"):
        profiler(server, base_url="http://example.invalid/v1").profile(view, log=RecordLog(tmp_path))


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "set the environment variable PTE_TEST_KEY"), (404, "HTTP 404"), (302, "HTTP 302")]
)
def test_what_does_not_pass_ends_the_run(server, view, tmp_path, code, hint):
    server.fail, server.code = 10**6, code
    with pytest.raises(InputError, match=hint):
        profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) <= 4


def test_no_server_is_told(server, view, tmp_path):
    with pytest.raises(InputError, match="gave no answer"):
        profiler(server, base_url="http://127.0.0.1:9/v1").profile(view, log=RecordLog(tmp_path))


def test_another_kind_of_server_is_told(server, view, tmp_path):
    server.answer = {"hello": 1}
    with pytest.raises(InputError, match="is it a chat server"):
        profiler(server).profile(view, log=RecordLog(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"base_url": "localhost:8000"}, {"base_url": "file:///etc/passwd"}, {"parallel": 0}, {"model": None}]
)
def test_settings_that_cannot_be_are_refused(server, wrong):
    with pytest.raises(InputError, match="profiler"):
        profiler(server, **wrong)


def test_retry_after_is_obeyed(server, view, tmp_path):
    server.fail, server.code, server.after = 1, 429, "20"
    profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path))
    assert len(server.waits) == 1
    assert 20 <= server.waits[0] <= 22


@pytest.mark.parametrize("field", ["seed", "max_tokens", "temperature", "top_p"])
def test_a_refused_field_is_left_out(server, view, tmp_path, field):
    server.fail, server.code = 1, 400
    server.fault = {"error": {"message": f"Unsupported parameter: '{field}'", "param": field}}
    found = profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path))
    assert all(g.parsed for g in found.generations)
    assert field in server.seen[0][0]
    assert all(field not in body for body, _ in server.seen[1:])
    assert (server.seen[1][0].get("max_completion_tokens") == 30) == (field == "max_tokens")


def test_one_filtered_prompt_is_one_unusable_answer(server, view, tmp_path):
    server.fail, server.code = 1, 400
    server.fault = {"error": {"code": "content_filter", "message": "filtered"}}
    found = profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path))
    assert sum(not g.parsed for g in found.generations) == 1
    asked = len(server.seen)
    profiler(server).profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) == asked


def test_an_error_in_a_200_is_tried_again_and_told(server, view, tmp_path):
    server.answer = {"error": {"message": "model is loading"}}
    with pytest.raises(InputError, match="model is loading"):
        profiler(server, parallel=1).profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) == openai.TRIES


def test_a_budget_stops_and_goes_on(server, view, tmp_path):
    with pytest.raises(InputError, match="budget_tokens=14 is spent"):
        profiler(server, parallel=1, budget_tokens=14).profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) == len(RecordLog(tmp_path)) == 2
    profiler(server).profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) == len(RecordLog(tmp_path))


def test_a_budget_in_money_stops_at_the_stated_price_and_goes_on(server, view, tmp_path):
    """Seven new tokens an answer at 1 a token: three are paid, and one more that was under way."""
    price = Tariff(price=[0, 1e6])
    with pytest.raises(InputError, match=r"budget_money=20 is spent \(21\): 3 of 6 answers are recorded"):
        profiler(server, parallel=1, budget_money=20, tariff=price, rounds=1, num_candidates=1).profile(
            view, log=RecordLog(tmp_path)
        )
    assert len(server.seen) == len(RecordLog(tmp_path)) == 3
    with pytest.raises(InputError, match=r"budget_money needs a price: type profiler\.tariff\.price"):
        profiler(server, budget_money=20)
    with pytest.raises(InputError, match=r"budget_money=0: must be above 0"):
        profiler(server, budget_money=0)


def test_what_answers_is_told_once_and_can_be_pinned(server, view, tmp_path, caplog):
    message = {"content": "This is a slow film."}
    server.answer = {"choices": [{"message": message}], "model": "stub-2026", "system_fingerprint": "fp_1"}
    profiler(server, rounds=1).profile(view, log=RecordLog(tmp_path))
    told = "stub: answered by model=stub-2026, system_fingerprint=fp_1"
    assert [message for message in caplog.messages if "answered by" in message] == [told]
    asked = len(server.seen)
    profiler(server, rounds=1, fingerprint="fp_1").profile(view, log=RecordLog(tmp_path))
    assert len(server.seen) == 2 * asked, "what is pinned is part of the key"
    with pytest.raises(InputError, match=r"answers with system_fingerprint=fp_1, not profiler\.fingerprint=fp_2"):
        profiler(server, rounds=1, fingerprint="fp_2").profile(view, log=RecordLog(tmp_path))


def test_a_key_with_a_line_break_is_sent_without_it(server, view, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_TEST_KEY", "sk-secret\n")
    profiler(server).profile(view, log=RecordLog(tmp_path))
    assert server.seen[0][1] == "Bearer sk-secret"


@pytest.mark.parametrize("key", ["sk-sec\nret", "sk-sec ret", "sk-sécret"])
def test_a_key_that_cannot_be_is_refused_by_its_variable(server, view, tmp_path, monkeypatch, key):
    monkeypatch.setenv("PTE_TEST_KEY", key)
    with pytest.raises(InputError, match="PTE_TEST_KEY") as caught:
        profiler(server).profile(view, log=RecordLog(tmp_path))
    assert "ret" not in str(caught.value).replace("secret", "ret").split("PTE_TEST_KEY")[0]
    assert not server.seen


def test_a_key_that_the_server_repeats_is_masked(server, view, tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_TEST_KEY", "plainsecret")
    server.fail, server.code, server.fault = 9, 401, {"error": "plainsecret and sk-abcdefghijklmnop are wrong"}
    with pytest.raises(InputError, match="not accepted") as caught:
        profiler(server).profile(view, log=RecordLog(tmp_path))
    assert "plainsecret" not in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "http://me:hunter2@host/v1"},
        {"base_url": "http://host/v1?api_key=hunter2"},
        {"key_variable": "sk-hunter2"},
        {"key_variable": "hf_hunter2hunter2hunter2"},
        {"key_variable": "hunter2hunter2hunter2"},
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(server, wrong):
    with pytest.raises(InputError, match="profiler") as caught:
        profiler(server, **wrong)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "finish"),
    [
        ({"content": None, "reasoning_content": "hm"}, "empty"),
        ({"content": [{"type": "thinking", "thinking": "hm"}]}, "empty"),
        ({"content": None, "refusal": "no"}, "refusal"),
    ],
)
def test_answers_without_text_are_failures_with_a_name(message, finish):
    found = read_answer({"choices": [{"message": message, "finish_reason": "stop"}]}, 64)
    assert (found.completion.text, found.completion.finish) == ("", finish)


def test_a_cut_answer_ends_at_a_whole_sentence_and_is_counted(server, view, tmp_path):
    message = {"content": "This is a slow film. It may well be that"}
    server.answer = {"choices": [{"message": message, "finish_reason": "length"}]}
    found = profiler(server).profile(view, log=RecordLog(tmp_path))
    assert found.item[3][0].endswith("This is a slow film.")
    assert facts(found)["cut_share"] == 1
    again = profiler(server).profile(view, log=RecordLog(tmp_path))
    assert again == found, "the finish reason comes back from the log"
    assert profiler(server).rebuild(view, found.generations) == found, "and from what is stored"


def test_text_parts_alone_are_read():
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "love trains."}]
    found = read_answer({"choices": [{"message": {"content": parts}, "finish_reason": "length"}]}, 64)
    assert (found.completion.text, found.completion.finish) == ("love trains.", "length")
    assert read_answer({"choices": []}, 64).completion.finish == "content_filter"


WHOLE = "love trains."


@pytest.mark.parametrize(
    ("reason", "tokens", "finish", "text"),
    [
        ("stop", 9, "stop", WHOLE), ("STOP", 9, "stop", WHOLE), ("end_turn", 9, "stop", WHOLE),
        ("FinishReason.STOP", 9, "stop", WHOLE), ("stop", 64, "stop", WHOLE),
        ("max_tokens", 64, "length", WHOLE), ("MAX_TOKENS", 9, "length", WHOLE), ("model_length", 9, "length", WHOLE),
        ({"type": "length", "length": 64}, 64, "length", WHOLE),
        ("SAFETY", 9, "content_filter", ""), ("RECITATION", 9, "content_filter", ""), ("refusal", 9, "refusal", ""),
        ("tool_calls", 9, "tool_calls", ""), ("tool_use", 9, "tool_calls", ""), ("function_call", 9, "tool_calls", ""),
        ("error", 9, "error", ""), ("abort", 9, "error", ""), ("insufficient_system_resource", 9, "error", ""),
        (None, 9, "", WHOLE), ("", 9, "", WHOLE), ("other", 9, "other", WHOLE), (7, 9, "7", WHOLE),
        (None, 64, "length", WHOLE), ("other", 64, "length", WHOLE), (None, None, "", WHOLE),
    ],
)  # fmt: skip
def test_a_finish_reason_has_one_meaning_whatever_a_server_calls_it(reason, tokens, finish, text):
    answer = {"choices": [{"message": {"content": WHOLE}, "finish_reason": reason}]}
    found = read_answer({**answer, "usage": {"completion_tokens": tokens}}, 64).completion
    assert (found.finish, found.text) == (finish, text)
    assert bool(found.detail) == (finish == "error")


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        ("MAX_TOKENS", {"cut": 26, "cut_used": 26}), ("tool_calls", {"unusable": 26}), (None, {"unknown_finish": 26}),
        ("SAFETY", {"unusable": 26, "refused": 26}), ("length", {"cut": 26, "cut_used": 26}),
        ("other", {"unknown_finish": 26}),
    ],
)  # fmt: skip
def test_answers_are_counted_by_how_they_ended(server, view, tmp_path, reason, counted):
    message = {"content": "This is a slow film. It may well be that"}
    server.answer = {"choices": [{"message": message, "finish_reason": reason}]}
    if "unusable" in counted:
        with pytest.raises(InputError, match="none of"):
            profiler(server).profile(view, log=RecordLog(tmp_path))
        return
    found = facts(profiler(server).profile(view, log=RecordLog(tmp_path)))
    names = ("unusable", "refused", "cut", "cut_used", "unknown_finish")
    assert {name: found[name] for name in names if found[name]} == counted


def test_answers_that_their_server_gave_up_are_failures(server, view, tmp_path):
    server.answer = {"choices": [{"message": {"content": "This is a"}, "finish_reason": "abort"}]}
    with pytest.raises(InputError, match=r"none of 26 completions was usable.*finish reason error"):
        profiler(server).profile(view, log=RecordLog(tmp_path))
