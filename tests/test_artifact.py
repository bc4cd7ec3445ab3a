"""Nothing half-written is found, nothing damaged is trusted, nothing arrived is lost."""

import json
import signal
import subprocess
import sys
import textwrap

import pytest

from pte.artifact import Store, Stored, digest, read_manifest, write_atomic
from pte.schema import InputError

KEY = "k" * 64


def publish(store, content="hello"):
    with store.publish("kind", KEY, {"fact": 1}) as out:
        (out / "sub").mkdir()
        (out / "sub" / "data.txt").write_text(content)
    return store.find("kind", KEY)


def test_published_artefact_is_found_with_its_facts(tmp_path):
    path = publish(Store(tmp_path))
    assert (path / "sub" / "data.txt").read_text() == "hello"
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["fact"] == 1
    assert list(manifest["files"]) == ["sub/data.txt"]


def test_another_key_with_the_same_first_letters_is_not_found(tmp_path):
    store = Store(tmp_path)
    publish(store)
    assert store.find("kind", KEY[:-1] + "x") is None


@pytest.mark.parametrize("damage", ["truncate", "change", "remove", "manifest"])
def test_damage_is_detected_and_rebuilt(tmp_path, damage):
    store = Store(tmp_path)
    path = publish(store)
    file = path / "sub" / "data.txt"
    if damage == "truncate":
        file.write_text("hell")
    elif damage == "change":
        file.write_text("hellO")
    elif damage == "remove":
        file.unlink()
    else:
        (path / "manifest.json").write_text('{"key": ')
    assert store.find("kind", KEY) is None
    assert store.exists("kind", KEY)
    assert (publish(store, "again") / "sub" / "data.txt").read_text() == "again"


def test_no_flipped_bit_of_a_manifest_is_read_as_good(tmp_path):
    store = Store(tmp_path)
    manifest = publish(store) / "manifest.json"
    text, raw = read_manifest(manifest.parent), manifest.read_bytes()
    for at in range(len(raw)):
        manifest.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])
        assert store.find("kind", KEY) is None or read_manifest(manifest.parent) == text | {
            key: value for key, value in json.loads(manifest.read_bytes()).items() if key not in text
        }
    manifest.write_text("[" * 100_000)
    assert store.find("kind", KEY) is None


def test_a_manifest_of_versions_before_is_read(tmp_path):
    manifest = publish(Store(tmp_path)) / "manifest.json"
    text = {key: value for key, value in json.loads(manifest.read_text()).items() if key != "sha256"}
    manifest.write_text(json.dumps(text))
    assert read_manifest(manifest.parent) == text
    assert Store(tmp_path).find("kind", KEY)


def test_a_failing_stage_leaves_nothing(tmp_path):
    store = Store(tmp_path)

    def stage():
        with store.publish("kind", KEY, {}) as out:
            (out / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stage()
    assert store.find("kind", KEY) is None
    assert list((tmp_path / "kind").iterdir()) == []


def test_a_killed_writer_leaves_no_artefact(tmp_path):
    code = f"""
        import os, signal
        from pathlib import Path
        from pte.artifact import Store
        with Store(Path({str(tmp_path)!r})).publish("kind", "k" * 64, {{}}) as out:
            (out / "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Store(tmp_path).find("kind", KEY) is None
    assert publish(Store(tmp_path)) is not None


def test_the_first_of_two_publishers_wins(tmp_path):
    store = Store(tmp_path)
    with store.publish("kind", KEY, {}) as slow:
        publish(store, "first")
        (slow / "other").write_text("second")
    assert (store.find("kind", KEY) / "sub" / "data.txt").read_text() == "first"


def test_digest_ignores_the_order_of_keys_and_nothing_else():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1, "b": [1, 2]}) != digest({"a": 1, "b": [2, 1]})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_atomic_write_replaces_whole_and_leaves_no_scratch(tmp_path):
    write_atomic(tmp_path / "f", "old")
    write_atomic(tmp_path / "f", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "new"


def test_a_run_has_what_it_made_and_damage_is_no_absence(tmp_path):
    run, store = tmp_path / "run", Store(tmp_path / "store")
    run.mkdir()
    (run / "keys.json").write_text(json.dumps({"store": str(store.root), "keys": {"kind": KEY, "later": KEY}}))
    stored = Stored(run)
    assert not stored.has("kind")  # it stopped before
    path = publish(store)
    assert stored.has("kind")
    assert not stored.has("other")
    (path / "sub" / "data.txt").write_text("hellO")
    with pytest.raises(InputError, match=r"kind are not in the store .*, or damaged: run its command again"):
        stored.has("kind")
    assert not stored.has("later")
    (run / "report.json").write_text("{}")  # it ended: what is not there is gone
    with pytest.raises(InputError, match="later are not in the store"):
        stored.has("later")


def test_a_run_is_registered_behind_a_line_that_a_full_disk_cut(tmp_path):
    store = Store(tmp_path)
    store.register(tmp_path / "first")
    register = tmp_path / "runs.txt"
    register.write_text(register.read_text().rstrip()[:-2])
    store.register(tmp_path / "second")
    assert (tmp_path / "second").resolve() in store.runs()


def test_a_damaged_register_keeps_the_runs_that_can_be_read(tmp_path):
    store, run = Store(tmp_path), tmp_path / "run"
    run.mkdir()
    store.register(run)
    (tmp_path / "runs.txt").write_bytes(b"\xff\xfe\0\n" + (tmp_path / "runs.txt").read_bytes() + b"\n\n")
    store.register(run)
    assert store.runs()[1:] == [run.resolve()]


@pytest.mark.parametrize("keys", [[1], {"kind": 5}, "kind"])
def test_damaged_keys_are_told(tmp_path, keys):
    (tmp_path / "keys.json").write_text(json.dumps({"store": str(tmp_path), "keys": keys}))
    with pytest.raises(InputError, match=r"no keys\.json in it"):
        Stored(tmp_path)
