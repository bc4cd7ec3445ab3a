"""Looking up and keeping generations, and what a person watching is told."""

from threading import Barrier, Thread

import pytest

from pte.profiler.base import FAILED, Completion, Query, Rate, Result
from pte.profiler.engine.record import Recorded, Workload, forecast
from pte.profiler.prompt import Prompt
from pte.profiler.store.log import RecordLog
from pte.schema import InputError, progress


class Counting:
    """Answers with a running number, in batches of two."""

    def __init__(self, rate: Rate | None = None) -> None:
        self.answered, self.measured = [], rate

    def identity(self):
        return {"model": "counting"}

    def batches(self, queries):
        return [list(range(i, min(i + 2, len(queries)))) for i in range(0, len(queries), 2)]

    def complete(self, queries, keys):
        self.answered += [query.prompt.data for query in queries]
        return [Completion(f"answer {len(self.answered) - len(queries) + i}", 10) for i in range(len(queries))]

    def rate(self, queries):
        return self.measured


def query(data: str) -> Query:
    return Query(Prompt("what", "Do.", data, "This is"), 0, 0.7)


WORK = Workload(completions=8, prompts=4, sample=list)


def test_equal_queries_are_sent_once_and_answered_in_order(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(progress, "SHOW_SECONDS", 0)
    caplog.set_level(progress.LIVE, "pte")
    engine = Counting()
    answers = Recorded(engine, RecordLog(tmp_path), WORK, noun="model")([query(d) for d in "abcab"])
    assert engine.answered == ["a", "b", "c"]
    assert [a.text for a in answers] == ["answer 0", "answer 1", "answer 2", "answer 0", "answer 1"]
    assert caplog.messages[-1].startswith("profiles: 5 of 8 generations")


def test_known_answers_leave_the_batches_as_they_were(tmp_path):
    """Batches are laid out over all questions: a killed run goes on with those it would have had."""
    first = Counting()
    Recorded(first, RecordLog(tmp_path), WORK, noun="model")([query("a"), query("d")])
    second = Counting()
    sizes: list[int] = []
    complete = second.complete
    second.complete = lambda queries, keys: (sizes.append(len(queries)), complete(queries, keys))[1]
    Recorded(second, RecordLog(tmp_path), WORK, noun="model")([query(d) for d in "abcdef"])
    assert second.answered == ["b", "c", "e", "f"]
    assert sizes == [1, 1, 2]


def test_nothing_missing_says_nothing(tmp_path, caplog):
    Recorded(Counting(), RecordLog(tmp_path), WORK, noun="model")([query("a")])
    caplog.clear()
    engine = Counting()
    assert Recorded(engine, RecordLog(tmp_path), WORK, noun="model")([query("a")]) == [Completion("answer 0", 10)]
    assert (engine.answered, caplog.messages) == ([], [])


def test_a_failure_is_requested_again_on_request(tmp_path):
    """Its second failure is recorded like its first; a third try is one more, and what did not fail stays."""

    class Failing(Counting):
        """Fails at every question on b."""

        def complete(self, queries, keys):
            done = super().complete(queries, keys)
            return [
                Completion("", 0, FAILED) if a.prompt.data == "b" else c for a, c in zip(queries, done, strict=True)
            ]

    def answers(engine, retries):
        answer = Recorded(engine, RecordLog(tmp_path), WORK, noun="model")
        answer.failed_retries = retries
        return [c.text for c in answer([query(d) for d in "abc"])], engine.answered, answer.done

    assert answers(Failing(), 0) == (["answer 0", "", "answer 2"], ["a", "b", "c"], 3)
    assert answers(Failing(), 0)[1] == [], "a recorded failure is an answer"
    assert answers(Failing(), 1)[1:] == (["b"], 3)
    assert answers(Counting(), 1)[1] == []
    assert answers(Counting(), 2) == (["answer 0", "answer 0", "answer 2"], ["b"], 3)
    assert answers(Failing(), 2) == (["answer 0", "answer 0", "answer 2"], [], 3)


def test_a_request_says_which_try_it_is_and_of_how_many(tmp_path):
    class Failing(Counting):
        """Fails at every question."""

        def generate(self, requests):
            self.answered += [(request.attempt, request.of) for request in requests]
            return (Result(request.key, Completion("", 0, FAILED)) for request in requests)

    engine = Failing()
    answer = Recorded(engine, RecordLog(tmp_path), WORK, noun="model")
    answer.generator, answer.failed_retries = engine, 2
    answer([query("a"), query("b")])
    assert engine.answered == [(0, 2), (0, 2), (1, 2), (1, 2), (2, 2), (2, 2)]


def test_forecast_by_hand():
    """100 prompts at 2 s and 400 answers at 1 s are 10 minutes; a quarter done leaves 7.5."""
    rate = Rate(prompt_tokens=200, new_tokens=40, prompt_seconds=2.0, completion_seconds=1.0)
    work = Workload(completions=400, prompts=100, sample=list)
    assert forecast(work, rate, 1.0) == (
        "about 20,000 prompt tokens and at most 16,000 new ones; about 10.0 minutes, measured here:"
        " 100 prompt and 40 new tokens a second"
    )
    assert "about 7.5 minutes" in forecast(work, rate, 0.75)


@pytest.mark.parametrize(
    ("rate", "message"),
    [(Rate(200, 40, 2.0, 1.0), "minutes, measured here"), (None, "the minutes depend on the server")],
)
def test_the_cost_is_reported_before_work(tmp_path, rate, message, caplog):
    Recorded(Counting(rate), RecordLog(tmp_path), WORK, noun="model")([query("a")])
    assert caplog.messages[0] == "model: 8 generations from 4 prompts (0 are recorded already, 1 to do at first)"
    assert message in caplog.messages[1]


def test_progress_is_reported_in_tokens(tmp_path, caplog):
    caplog.set_level(progress.LIVE, "pte")
    Recorded(Counting(), RecordLog(tmp_path), WORK, noun="model")([query(d) for d in "abcdefgh"])
    last = [line for line in caplog.messages if "8 of 8 generations, " in line]
    assert [" tokens/s, 0:00 left" in line for line in last] == [True]


def test_progress_is_reported_within_a_batch(tmp_path, caplog, monkeypatch):
    """Before the first batch is done: half of two answers of eight, an eighth of all, took 5 s."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    caplog.set_level(progress.LIVE, "pte")

    class Telling(Counting):
        """Takes five seconds for each half of a batch."""

        def watch(self, tokens, share):
            raise AssertionError("nobody looks on")

        def complete(self, queries, keys):
            for tokens, share in ((5, 0.5), (10, 1.0)):
                clock[0] += 5
                self.watch(tokens, share)
            return super().complete(queries, keys)

    Recorded(Telling(), RecordLog(tmp_path), WORK, noun="model")([query(d) for d in "abcdefgh"])
    lines = [line for line in caplog.messages if line.startswith("profiles: ")]
    assert lines[:2] == [
        "profiles: 0 of 8 generations, 1 tokens/s, 0:35 left",
        "profiles: 0 of 8 generations, 1 tokens/s, 0:30 left",
    ]
    assert lines[-1] == "profiles: 8 of 8 generations, 2 tokens/s, 0:00 left"


def test_two_runs_of_one_model_pay_once(tmp_path):
    """Both begin together, each with a log of its own; every question is asked by one of them."""
    start, engines, answers = Barrier(2), [Counting(), Counting()], {}

    def run(number):
        log = RecordLog(tmp_path)
        start.wait()
        answers[number] = Recorded(engines[number], log, WORK, noun="model")([query(d) for d in "abcdefgh"])

    threads = [Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(engines[0].answered + engines[1].answered) == list("abcdefgh")
    assert [a.text for a in answers[0]] == [a.text for a in answers[1]]


@pytest.mark.parametrize("given", [[], ["a"], [Completion("a", 1)] * 2])
def test_answers_of_another_number_or_kind_are_refused_by_the_name_of_their_class(tmp_path, given):
    engine = Counting()
    engine.complete = lambda queries, keys: given
    with pytest.raises(InputError, match=rf"^Counting\.complete gave {len(given)} answers to 1 queries: .*Completion"):
        Recorded(engine, RecordLog(tmp_path), WORK, noun="model")([query("a")])
