"""What a log of generations keeps through kills, two writers, merges and the format of versions before."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from threading import Thread

import polars as pl
import pytest

from pte.artifact import digest
from pte.profiler.store import log as log_module
from pte.profiler.store.log import RecordLog
from pte.profiler.store.shard import SCHEMA, Journal, Shard

ONE, OTHER = {"model": "one", "decoding": {"top_k": 5}}, {"model": "other"}


def row(word: str, completion: str = "") -> dict:
    return {"key": digest(word), "completion": completion or f"about {word}", "tokens": 3}


def keep(log, identity, *rows):
    records = log.of(identity)
    with records.exclusive():
        records.extend(rows)
    return records


def texts(log, identity, *words):
    found = log.of(identity).find(digest(word) for word in words)
    return [found[digest(word)]["completion"] if digest(word) in found else None for word in words]


def test_what_is_stored_is_found_by_the_same_model_alone(tmp_path):
    log = RecordLog(tmp_path)
    keep(log, ONE, row("a", "one\ntwo"), row("b", "ü"))
    assert texts(RecordLog(tmp_path), ONE, "a", "b", "c") == ["one\ntwo", "ü", None]
    assert texts(RecordLog(tmp_path), OTHER, "a") == [None]
    assert len(log) == 2


def test_a_shard_says_what_its_generations_are(tmp_path):
    keep(RecordLog(tmp_path), ONE, row("a") | {"side": "item", "entity": 7, "round": 1, "temperature": 0.7})
    (path,) = tmp_path.glob("*/*.parquet")
    frame = pl.read_parquet(path)
    assert frame.schema == SCHEMA
    known = frame.select("side", "entity", "round", "temperature", "model", "decoding", "tokens").row(0)
    assert known == ("item", 7, 1, 0.7, '"one"', '{"top_k": 5}', 3)
    assert json.loads((path.parent / "model.json").read_text()) == ONE
    assert {p.name for p in path.parent.iterdir()} == {path.name, "model.json", "lock"}


def test_only_files_of_the_model_at_hand_are_opened(tmp_path, monkeypatch):
    log = RecordLog(tmp_path)
    keep(log, ONE, row("a"))
    keep(log, OTHER, row("b"))
    opened = []
    monkeypatch.setattr(log_module, "Shard", lambda path: opened.append(path.parent.name) or Shard(path))
    fresh = RecordLog(tmp_path)
    assert opened == [], "a log opens nothing before it is asked"
    assert texts(fresh, ONE, "a") == ["about a"]
    assert opened == [digest(ONE)[:16]]


def test_the_first_of_equal_keys_is_stored(tmp_path):
    log = RecordLog(tmp_path)
    keep(log, ONE, row("a", "first"), row("a", "second"))
    keep(log, ONE, row("a", "third"), row("b"))
    assert texts(log, ONE, "a", "b") == ["first", "about b"]
    assert sum(len(pl.read_parquet(path)) for path in tmp_path.glob("*/*.parquet")) == 2


def test_a_writer_that_is_killed_loses_the_torn_line_alone(tmp_path):
    code = f"""
        import os, signal
        from pathlib import Path
        from pte.artifact import digest
        from pte.profiler.store.log import RecordLog
        records = RecordLog(Path({str(tmp_path)!r})).of({ONE!r})
        with records.exclusive():
            for word in "abcde":
                records.extend([{{"key": digest(word), "completion": word, "tokens": 1}}])
            with next(records.folder.glob("*.jsonl")).open("a") as file:
                file.write('{{"key": "0123456789abcdef", "compl')
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("*/*.parquet")) == []
    assert texts(RecordLog(tmp_path), ONE, *"abcde") == list("abcde"), "found before anything is written"
    keep(RecordLog(tmp_path), ONE, row("f"))
    assert list(tmp_path.glob("*/*.jsonl")) == [], "journals are closed by the next writer"
    assert texts(RecordLog(tmp_path), ONE, *"abcdef") == [*"abcde", "about f"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_batch_is_stored_as_a_whole_or_not_at_all(tmp_path, share):
    """Its writer is killed within a write: no row of the batch is known, those of the batch before are."""
    records = RecordLog(tmp_path).of(ONE)
    records.folder.mkdir(parents=True)
    records.extend([row("a"), row("b")])
    (journal,) = records.folder.glob("*.jsonl")
    before = journal.stat().st_size
    records.extend([row(word) for word in "cdef"])
    os.truncate(journal, before + int(share * (journal.stat().st_size - before)))
    assert texts(RecordLog(tmp_path), ONE, *"abcdef") == ["about a", "about b", *[None] * 4]
    keep(RecordLog(tmp_path), ONE, row("c"))
    assert texts(RecordLog(tmp_path), ONE, *"abcdef") == ["about a", "about b", "about c", *[None] * 3]


@pytest.mark.parametrize("moment", ["shard", "journal"])
def test_a_kill_while_a_journal_is_closed_loses_nothing_and_doubles_nothing(tmp_path, monkeypatch, moment):
    """Between writing the shard and removing the journal, or before the shard is there."""

    def kill(path, *_, **__):
        if not isinstance(path, Path) or path.suffix == ".jsonl":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((log_module, "write") if moment == "shard" else (Path, "unlink")), kill)
        with pytest.raises(KeyboardInterrupt):
            keep(RecordLog(tmp_path), ONE, row("a"), row("b"))
    assert len(list(tmp_path.glob("*/*.jsonl"))) == 1
    assert texts(RecordLog(tmp_path), ONE, "a", "b") == ["about a", "about b"]
    keep(RecordLog(tmp_path), ONE, row("c"))
    frames = [pl.read_parquet(path) for path in tmp_path.glob("*/*.parquet")]
    assert sorted(pl.concat(frames)["key"]) == sorted(map(digest, "abc"))


def test_small_shards_are_merged_under_a_reader(tmp_path):
    """A reader that knows the files of before finds their rows where they went."""
    log, words = RecordLog(tmp_path), [f"word {i}" for i in range(log_module.FEW + 1)]
    for word in words[:-1]:
        keep(log, ONE, row(word))
    reader = RecordLog(tmp_path).of(ONE)
    assert len(reader.files) == log_module.FEW
    keep(log, ONE, row(words[-1]))
    assert len(list(tmp_path.glob("*/*.parquet"))) == 1
    assert len(reader.find(map(digest, words))) == len(words)


def test_a_long_journal_is_closed_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "CLOSED", 3)
    records = RecordLog(tmp_path).of(ONE)
    with records.exclusive():
        for word in "abcd":
            records.extend([row(word)])
        assert [len(list(tmp_path.glob(f"*/*.{kind}"))) for kind in ("parquet", "jsonl")] == [1, 1]
        assert len(records.find(map(digest, "abcd"))) == 4


def test_the_log_of_versions_before_is_used(tmp_path):
    """JSON lines beside the folders, models mixed; a torn line and a line of something else are no rows."""
    (tmp_path / "1-old.jsonl").write_text(
        json.dumps({"key": digest("a"), "model": "one", "completion": "paid", "tokens": 2}) + '\n{"ke\n[1]\n'
        + json.dumps({"key": digest("b"), "model": "one", "completion": "too", "tokens": 2, "finish": "stop"}) + "\n"
    )  # fmt: skip
    assert texts(RecordLog(tmp_path), ONE, "a", "b", "c") == ["paid", "too", None]


def test_a_damaged_shard_is_reported_and_its_rows_are_requested_again(tmp_path, caplog):
    keep(RecordLog(tmp_path), ONE, row("a"))
    (path,) = tmp_path.glob("*/*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    assert texts(RecordLog(tmp_path), ONE, "a") == [None]
    assert "cannot be read" in caplog.messages[0]
    keep(RecordLog(tmp_path), ONE, row("a", "again"))
    assert texts(RecordLog(tmp_path), ONE, "a") == ["again"]


def test_a_shard_damaged_inside_is_reported_and_its_rows_are_requested_again(tmp_path, caplog, monkeypatch):
    keep(RecordLog(tmp_path), ONE, row("a"))
    (path,) = tmp_path.glob("*/*.parquet")
    keep(RecordLog(tmp_path), ONE, row("b"))
    whole = Shard.rows

    def rows(shard, keys):
        if shard.path == path:
            raise pl.exceptions.ComputeError("a page is damaged")
        return whole(shard, keys)

    monkeypatch.setattr(Shard, "rows", rows)
    assert texts(RecordLog(tmp_path), ONE, "a", "b") == [None, "about b"]
    assert str(path) in caplog.messages[0]


def test_half_a_character_is_stored_as_a_question_mark(tmp_path):
    keep(RecordLog(tmp_path), ONE, row("a", "half \ud83d here"), row("b", "whole"))
    assert texts(RecordLog(tmp_path), ONE, "a", "b") == ["half ? here", "whole"]
    assert not list(tmp_path.glob("*/*.jsonl"))  # closed, as a shard


def test_logs_of_versions_before_are_opened_for_what_is_not_found_alone(tmp_path, monkeypatch):
    keep(RecordLog(tmp_path), ONE, row("a"))
    log = RecordLog(tmp_path)
    monkeypatch.setattr(RecordLog, "older", property(lambda self: pytest.fail("opened")))
    assert texts(log, ONE, "a") == ["about a"]
    with pytest.raises(pytest.fail.Exception):
        texts(log, ONE, "b")


def test_a_line_that_grows_under_a_reader_is_a_row_once_it_is_whole(tmp_path):
    """Two writers' journals, one torn: the reader finds what is whole, and the rest when it looks again."""
    first, second = RecordLog(tmp_path).of(ONE), RecordLog(tmp_path).of(ONE)
    first.folder.mkdir(parents=True)
    first.extend([row("a")])
    second.extend([row("b")])
    line = json.dumps(row("c", "of ü and more")).encode() + b"\n"
    (journal,) = first.folder.glob(f"{first._journal.stem}*")
    with journal.open("ab", buffering=0) as file:
        for part in (line[:20], line[20:-1], line[-1:]):
            reader = RecordLog(tmp_path).of(ONE)
            assert set(reader.find(map(digest, "abc"))) == {digest("a"), digest("b")}
            file.write(part)
            reader._look()
            whole = part is line[-1:] or part == b"\n"
            assert (digest("c") in reader.find([digest("c")])) is whole
    first.extend([row("d")])
    reader._look()
    assert [reader.find([digest(word)])[digest(word)]["completion"] for word in "cd"] == ["of ü and more", "about d"]


def test_a_second_journal_of_a_writer_is_read_from_its_beginning(tmp_path):
    """The reader knows the first one, which was closed meanwhile; the second is no longer than that."""
    writer, reader = RecordLog(tmp_path).of(ONE), RecordLog(tmp_path).of(ONE)
    with writer.exclusive():
        writer.extend([row("a")])
        assert reader.find([digest("a")])
    writer.extend([row("b")])
    reader._look()
    assert len(reader.find(map(digest, "ab"))) == 2


def test_two_writers_close_and_merge_under_a_reader(tmp_path, monkeypatch):
    """What a reader has found it finds again at any later moment, and in the end everything, each row once."""
    for name, value in (("CLOSED", 3), ("FEW", 2), ("MERGED", 12)):
        monkeypatch.setattr(log_module, name, value)
    words = [[f"{writer} {i}" for i in range(30)] for writer in "xy"]
    keys, failures = [digest(word) for some in words for word in some], []

    def work(some):
        try:
            for first in range(0, len(some), 5):
                records = RecordLog(tmp_path).of(ONE)
                with records.exclusive():
                    for word in some[first : first + 5]:
                        records.extend([row(word)])
        except BaseException as error:
            failures.append(error)
            raise

    threads = [Thread(target=work, args=(some,)) for some in words]
    for thread in threads:
        thread.start()
    reader, found = RecordLog(tmp_path).of(ONE), set()
    while any(thread.is_alive() for thread in threads):
        now = set(reader.find(keys))
        assert found <= now, "a row was lost under the reader"
        found = now
        reader._look()
    for thread in threads:
        thread.join()
    assert not failures
    assert {r["completion"] for r in RecordLog(tmp_path).of(ONE).find(keys).values()} == {
        f"about {word}" for some in words for word in some
    }
    assert sorted(key for path in tmp_path.glob("*/*.parquet") for key in pl.read_parquet(path)["key"]) == sorted(keys)


def test_a_writer_knows_its_lines_as_a_reader_does(tmp_path):
    """Without reading what it wrote; letters of any alphabet, equal keys and several batches."""
    records = RecordLog(tmp_path).of(ONE)
    with records.exclusive():
        for batch in ([row("a", "ü…"), row("b")], [row("c", "电影"), row("a")], [row("d")]):
            records.extend(batch)
            (own,) = records.files.values()
            whole = Journal(own.path)
            assert (own.places, own.size) == (whole.places, whole.size)
            assert list(own.rows([batch[0]["key"]])) == list(whole.rows([batch[0]["key"]]))


def test_no_flipped_byte_of_a_shard_is_read_as_good(tmp_path):
    words = "abcdefgh"
    keep(RecordLog(tmp_path), ONE, *map(row, words))
    (path,) = tmp_path.glob("*/*.parquet")
    raw = path.read_bytes()
    for at in range(0, len(raw), 29):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])
        assert texts(RecordLog(tmp_path), ONE, *words) == [None] * 8, at
    keep(RecordLog(tmp_path), ONE, *map(row, words))  # takes the damaged one's place and name
    assert texts(RecordLog(tmp_path), ONE, *words) == [f"about {word}" for word in words]


def test_a_merge_that_gives_a_shard_there_is_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "FEW", 0)
    keep(RecordLog(tmp_path), ONE, row("a"))
    (path,) = tmp_path.glob("*/*.parquet")
    path.rename(again := path.with_name("0123456789ab.parquet"))  # a name of versions before
    records = RecordLog(tmp_path).of(ONE)
    path.write_bytes(again.read_bytes())
    with records.exclusive():
        pass
    assert list(tmp_path.glob("*/*.parquet")) == [path]
    assert texts(RecordLog(tmp_path), ONE, "a") == ["about a"]
