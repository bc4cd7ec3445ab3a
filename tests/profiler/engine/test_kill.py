"""Runs that are killed with SIGKILL at random moments end with the store of a run in one piece, and pay nothing twice.

A child process plays the loop and kills itself at the n-th function call, n drawn from all calls of a run in one piece:
in the midst of a request, of a write, of a rename. Children are forks of a fresh process: polars' threads, which read
and write the store, do not live on in a fork of one that has used them.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pte.profiler.batch import BatchProfiler
from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.openai import Server
from pte.profiler.openai import OpenAIProfiler
from pte.profiler.prompt import Evidence
from pte.profiler.store.log import RecordLog
from pte.schema import InputError, Items, View

PARALLEL = 3
KILLS, FEWER = 10, 5  # FEWER: of a model in process, whose runs take longer
LOOP = {
    "model": "stub", "num_candidates": 3, "rounds": 2, "item_forms": ["what", "who"], "user_forms": ["taste", "likes"],
    "evidence": Evidence(), "decoding": Sampling([0.0], top_p=1.0, max_new_tokens=30), "retries": 0,
}  # fmt: skip


def make_view():
    """12 items and 6 people of five rows."""
    names = [f"title {i}" for i in range(12)]
    items = Items(["", *names], ["", *names], {"genre": ["", *(f"kind {i % 5}" for i in range(12))]})
    item = np.random.default_rng(0).integers(1, 13, 30).astype(np.int32)
    return View(np.repeat(np.arange(6, dtype=np.int32), 5), item, 6, items)


def answer_to(body):
    """A text that depends on the question alone: greedy."""
    content = body["messages"][0]["content"]
    lead = content.rsplit("Begin your answer with: ", 1)[-1]
    text = f"{lead} quiet trains and {len(content)} more, {body['seed'] % 1000}."
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"completion_tokens": 7}}


class Counting(BaseHTTPRequestHandler):
    """Answers, and counts what is asked."""

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if len(data) < int(self.headers["Content-Length"]):
            return  # who asked is dead
        body = json.loads(data)
        self.server.count[json.dumps(body, sort_keys=True)] += 1
        data = json.dumps(answer_to(body)).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass

    def log_message(self, *args):
        pass


def start_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    server.count = Counter()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def child(play, calls=None):
    """How `play` ends in a child process: its exit status, or -9; with `calls` it is killed at so many function calls.

    Without, the number of calls is written to the pipe.
    """
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        status, number = 1, 0

        def count(frame, event, argument):
            nonlocal number
            number += event == "call"
            if number == calls:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(count)
            play()
            status = 0
        except InputError:
            status = 2
        finally:
            sys.setprofile(None)
            os.write(write, str(number).encode())
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.read()
    _, how = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(how), int(number or 0)


def written(folder, profiler, view):
    """What the store holds in the end, read by a run that asks nothing."""
    return profiler.profile(view, log=RecordLog(folder))


def kill_runs_of_a_server(tmp_path, view):
    """What was in flight is paid twice at most."""
    server = start_server()
    url = f"http://127.0.0.1:{server.server_port}/v1"

    def make():
        return OpenAIProfiler(base_url=url, server=Server(key_variable="PTE_TEST_KEY", parallel=PARALLEL), **LOOP)

    def play(folder):
        return lambda: make().profile(view, log=RecordLog(folder))

    status, calls = child(play(tmp_path / "whole"))
    assert status == 0
    once = dict(server.count)
    assert set(once.values()) == {1}
    server.count.clear()
    idle = child(play(tmp_path / "whole"))[1]  # calls of a run that finds everything
    draw, kills, progress = random.Random(0), 0, []
    while kills < KILLS:
        status, _ = child(play(tmp_path / "killed"), draw.randrange(idle // 2, idle + (calls - idle) // 3))
        assert status in (-signal.SIGKILL, 0)
        kills += status != 0
        progress.append(sum(server.count.values()))
    assert child(play(tmp_path / "killed"))[0] == 0
    assert len(set(progress)) >= KILLS // 2, "kills fall amid requests"
    assert server.count.keys() == once.keys()
    assert sum(server.count.values()) <= len(once) + KILLS * PARALLEL
    server.count.clear()
    assert written(tmp_path / "killed", make(), view) == written(tmp_path / "whole", make(), view)
    assert not server.count


def serve(place, paid):
    """The batch service: every request file once, the answers in two shuffled halves of which some come twice."""
    for file in place.glob("requests-*.jsonl"):
        if file.name in paid:
            continue
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        paid[file.name] = [line["custom_id"] for line in lines]
        draw = random.Random(file.name)
        draw.shuffle(lines)
        answers = [
            json.dumps({"custom_id": x["custom_id"], "response": {"status_code": 200, "body": answer_to(x["body"])}})
            for x in lines
        ]
        for name, part in (("a", answers[::2] + answers[:3]), ("b", answers[1::2])):
            (place / "results" / f"{file.stem}-{name}.jsonl").write_text("\n".join(part) + "\n")


def kill_runs_of_batch_files(tmp_path, view):
    """The same files are written, and nothing is paid twice."""

    def make(name):
        return BatchProfiler(folder=str(tmp_path / name), **LOOP)

    def play(name):
        return lambda: make(name).profile(view, log=RecordLog(tmp_path / f"{name}-log"))

    totals, calls = {}, []
    for name, kills in (("whole", 0), ("killed", KILLS)):
        paid, draw, status = {}, random.Random(1), 2
        while status:
            at = draw.randrange(1, max(calls)) if kills else None
            kills -= bool(kills)
            status, number = child(play(name), at)
            calls.append(number)
            assert status in (0, 2, -signal.SIGKILL)
            serve(tmp_path / name, paid)
        totals[name] = Counter(key for keys in paid.values() for key in keys)
    assert totals["whole"] == totals["killed"]
    assert set(totals["killed"].values()) == {1}
    one, two = (written(tmp_path / f"{name}-log", make(name), view) for name in ("whole", "killed"))
    assert one == two


def kill_runs_of_a_model(tmp_path, view):
    """Greedy answers of a model in process: what is in flight is paid twice at most, and no text is another."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import torch
    from helper.transformers_profiler import changed_decoding, profiler, save_model

    torch.set_num_threads(1)  # threads do not live on in a fork
    save_model(tmp_path / "model")
    batch = 8
    writer = profiler(
        tmp_path / "model", decoding=changed_decoding(temperatures=[0.0], repetition_penalty=2.0), batch_size=batch
    )
    assert writer.engine.causal.model.device.type == "cpu"  # loaded once, for all forks
    assert writer.engine.causal.tokenizer

    def play(name):
        def run():
            complete = writer.engine.complete

            def billed(queries, keys):
                with (tmp_path / f"{name}.txt").open("a") as bill:
                    bill.writelines(f"{key}\n" for key in keys)
                return complete(queries, keys)

            writer.engine.complete = billed
            writer.profile(view, log=RecordLog(tmp_path / name))

        return run

    def bill(name):
        file = tmp_path / f"{name}.txt"
        return file.read_text().split() if file.exists() else []

    status, calls = child(play("whole"))
    assert status == 0
    idle = child(play("whole"))[1]
    draw, kills, progress = random.Random(2), 0, []
    while kills < FEWER:
        status, _ = child(play("killed"), draw.randrange(idle // 2, idle + (calls - idle) // 5))
        assert status in (-signal.SIGKILL, 0)
        kills += status != 0
        progress.append(len(bill("killed")))
    assert child(play("killed"))[0] == 0
    assert len(set(progress)) >= FEWER // 2, "kills fall amid batches"
    assert len(bill("whole")) == len(set(bill("whole")))
    assert set(bill("killed")) == set(bill("whole"))
    assert len(bill("killed")) <= len(bill("whole")) + FEWER * batch
    writer.engine.complete = None  # nothing is asked any more
    assert written(tmp_path / "killed", writer, view) == written(tmp_path / "whole", writer, view)


@pytest.mark.parametrize("case", [kill_runs_of_a_server, kill_runs_of_batch_files, kill_runs_of_a_model])
def test_a_killed_run_goes_on(case, tmp_path):
    code = f"import runpy; from pathlib import Path; m = runpy.run_path({__file__!r}); " + (
        f"m[{case.__name__!r}](Path({str(tmp_path)!r}), m['make_view']())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
