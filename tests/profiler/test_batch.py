"""Files of requests and answers: shuffled, half missing, half twice, damaged, refused; a whole loop's texts."""

import json
import random
from pathlib import Path

import pytest

from pte.profiler.base import FAILED, Query, Request
from pte.profiler.batch import BatchProfiler
from pte.profiler.engine import batch_file
from pte.profiler.engine.batch_file import BatchEngine
from pte.profiler.engine.chat import Sampling
from pte.profiler.engine.record import Recorded, Workload
from pte.profiler.prompt import Evidence, Prompt
from pte.profiler.store.log import RecordLog
from pte.schema import InputError, visible_view


def engine(folder, **knobs):
    values = {
        "model": "m",
        "folder": folder,
        "decoding": {"max_tokens": 9},
        "without": frozenset(),
        "failure_share": 0.1,
    }
    return BatchEngine(**values | knobs)


def requests(n):
    prompt = Prompt("what", "Describe it.", "thing", "It is")
    return [Request(f"{i:064x}", Query(prompt, i, 0.7)) for i in range(n)]


def answered(line, text=None):
    order = json.loads(line)
    words = text or f"It is answer {order['custom_id'][-4:]} to {len(order['body']['messages'][0]['content'])} letters."
    body = {"choices": [{"message": {"content": words}, "finish_reason": "stop"}], "usage": {"completion_tokens": 5}}
    return {"custom_id": order["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def failed(key, code, message="no", **more):
    return {"custom_id": key, "response": {"status_code": code, "body": {"error": {"message": message}}}, **more}


def put(folder, name, lines):
    (folder / "results").mkdir(parents=True, exist_ok=True)
    (folder / "results" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def generate(made, order):
    """What came, and the words of the stop."""
    got = {}
    try:
        for result in made.generate(order):
            assert result.key not in got, "told twice"
            got[result.key] = result.completion
    except InputError as error:
        return got, str(error)
    return got, ""


def written(folder):
    return {file: file.read_text().splitlines() for file in sorted(folder.glob("requests-*.jsonl"))}


def test_a_request_line_is_the_services_own(tmp_path):
    (file,) = engine(tmp_path, without=frozenset({"seed", "max_tokens"})).write(requests(1))
    assert json.loads(file.read_text()) == {
        "custom_id": "0" * 64, "method": "POST", "url": "/v1/chat/completions",
        "body": {
            "model": "m", "temperature": 0.7, "max_completion_tokens": 9,
            "messages": [{"role": "user", "content": "Describe it.\n\nthing\n\nBegin your answer with: It is"}],
        },
    }  # fmt: skip


def test_half_missing_half_twice_and_shuffled(tmp_path):
    """100 asked: 50 come, 25 of them twice, with another text the second time, in any order over two files."""
    made, order = engine(tmp_path), requests(100)
    got, words = generate(made, order)
    assert (got, words[:40]) == ({}, "profiles: 100 of 100 answers are missing")
    (lines,) = written(tmp_path).values()
    draw = random.Random(0)
    came = draw.sample(lines, 50)
    first = [answered(line) for line in came]
    draw.shuffle(first)
    put(tmp_path, "a", first)
    put(tmp_path, "b", [answered(line, "It is something else.") for line in came[:25]])
    got, words = generate(made, order)
    assert {k: c.text for k, c in got.items()} == {
        a["custom_id"]: a["response"]["body"]["choices"][0]["message"]["content"] for a in first
    }
    assert words.startswith("profiles: 50 of 100 answers are missing")
    (new,) = set(written(tmp_path)) - {next(f for f, content in written(tmp_path).items() if len(content) == 100)}
    assert str(new) in words
    assert {json.loads(line)["custom_id"] for line in written(tmp_path)[new]} == {r.key for r in order} - got.keys()
    generate(made, order)
    assert len(written(tmp_path)) == 2, "the same questions are the same file"
    put(tmp_path, "c", [answered(line) for line in written(tmp_path)[new]])
    got, words = generate(made, order)
    assert (len(got), words) == (100, "")


def test_files_keep_to_lines_and_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_file, "MOST_LINES", 7)
    files = engine(tmp_path / "lines").write(requests(15))
    assert [len(file.read_text().splitlines()) for file in files] == [7, 7, 1]
    size = len(files[2].read_bytes())
    monkeypatch.setattr(batch_file, "MOST_BYTES", 3 * size)
    files = engine(tmp_path / "bytes").write(requests(7))
    assert all(len(file.read_bytes()) <= 3 * size for file in files)
    lines = [json.loads(line)["custom_id"] for file in files for line in file.read_text().splitlines()]
    assert lines == [request.key for request in requests(7)]
    assert (batch_file.MOST_LINES, len(files)) == (7, 3)


def test_what_passes_is_requested_again_and_what_stays_is_a_result(tmp_path):
    made, order = engine(tmp_path), requests(8)
    (file,) = made.write(order)
    key = [request.key for request in order]
    put(tmp_path, "a", [
        failed(key[0], 429), failed(key[1], 500),
        {"custom_id": key[2], "response": None, "error": {"code": "batch_expired"}},
        failed(key[3], 400, "blocked by content_filter"), failed(key[4], 400, "too long"),
        {"custom_id": key[5], "response": {"status_code": 200, "body": {"nonsense": 1}}}, failed(key[6], 500),
        answered(file.read_text().splitlines()[6]), answered(file.read_text().splitlines()[7]), {"custom_id": "other"},
    ])  # fmt: skip
    with (tmp_path / "results" / "a.jsonl").open("a") as more:
        more.write('[1]\n"x"\n{"custom_id": 5}\n\nnot json\n{"custom_id": "' + key[0])  # the last is cut off
    got, words = generate(made, order)
    assert {k: c.finish for k, c in got.items()} == {
        key[3]: "content_filter", key[4]: "error", key[6]: "stop", key[7]: "stop",
    }  # fmt: skip
    assert got[key[4]].detail == "too long"
    assert "4 of 8 answers are missing" in words
    assert "5 unreadable lines" in words
    assert "1 lines that answer no open question" in words


def test_many_failures_end_the_run_and_name_the_field(tmp_path):
    made, order = engine(tmp_path), requests(20)
    put(tmp_path, "a", [failed(r.key, 400, "Unsupported parameter: 'max_tokens' is not supported") for r in order])
    got, words = generate(made, order)
    assert got == {}
    assert "20 of 20 answers" in words
    assert "profiler.without=[max_tokens]" in words


def test_a_share_of_failures_is_of_first_tries(tmp_path):
    """25 of 500 are tolerated; that they all fail again ends nothing."""
    order = requests(500)
    answer = Recorded(engine(tmp_path), RecordLog(tmp_path / "log"), Workload(500, 500, list), noun="m")
    answer.generator, answer.together, answer.failed_retries = answer.engine, 1024, 1
    for missing in (500, 25):
        with pytest.raises(InputError, match=f"{missing} of {missing} answers are missing"):
            answer([request.query for request in order])
        (lines,) = (lines for lines in written(tmp_path).values() if len(lines) == missing)
        refused = [failed(json.loads(line)["custom_id"], 400) for line in lines[:25]]
        put(tmp_path, str(missing), [*refused, *map(answered, lines[25:])])
    assert [c.finish for c in answer([request.query for request in order])].count(FAILED) == 25


def loop(place, **knobs):
    values = {"model": "m", "folder": str(place), "num_candidates": 2, "rounds": 2, "item_forms": ["what", "who"],
              "user_forms": ["taste", "likes"], "evidence": Evidence(),
              "decoding": Sampling([0.7], top_p=0.9, max_new_tokens=30)}  # fmt: skip
    return BatchProfiler(**values | knobs)


def test_a_loop_goes_on_file_by_file_and_ends_with_the_texts_of_one_piece(tmp_path, twelve, twelve_split):
    """Half of each leg's answers at a time, against all of them at once."""
    view, texts = visible_view(twelve, twelve_split), []
    for name, share in (("whole", 1), ("halves", 2)):
        trips, draw = 0, random.Random(1)
        while True:
            try:
                done = loop(tmp_path / name).profile(view, log=RecordLog(tmp_path / f"{name}-log"))
                break
            except InputError as error:
                file = str(error).split("requested in ")[1].split(": send")[0]
                lines = Path(file).read_text().splitlines()
                came = draw.sample(lines, -(-len(lines) // share))
                trips += 1
                put(
                    tmp_path / name,
                    f"{trips}",
                    [
                        answered(
                            line,
                            f"{json.loads(line)['body']['messages'][0]['content'].rsplit(': ', 1)[1]} a quiet thing.",
                        )
                        for line in came
                    ],
                )
        texts.append((done.user, done.item))
        assert trips >= 3 * share
        assert sum(g.parsed for g in done.generations if g.prompt) == sum(bool(g.prompt) for g in done.generations)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("knobs", "words"),
    [({"model": None}, "profiler.model=NAME"), ({"folder": ""}, "profiler.folder=PATH"),
     ({"without": ["model"]}, "without"),
     ({"failure_share": 2}, "failure_share=2")],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, knobs, words):
    with pytest.raises(InputError, match=words):
        loop(tmp_path, **knobs)
