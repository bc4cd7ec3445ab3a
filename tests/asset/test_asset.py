"""Assets from a loopback server, a local wheel and local paths: verified, cached, healed, or one clear line."""

from __future__ import annotations

import ast
import hashlib
import http.server
import multiprocessing
import os
import threading
import zipfile
from pathlib import Path

import pytest

from pte.asset import cache, derive, fetch, origin
from pte.paths import CONF_DIR
from pte.schema import InputError


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PTE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """A loopback web server over tmp_path/web; `.requests` counts what it answered."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def do_GET(self):
            httpd.requests += 1
            if self.path.startswith("/short"):
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"only this")
                self.close_connection = True
                return
            super().do_GET()

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.requests, httpd.folder, httpd.url = 0, folder, f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """pip sees one package, toy-pack 1.0, in a local folder, and no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder / "toy_pack-1.0-py3-none-any.whl", {"toy/data/a.txt": b"first", "toy/data/deep/b.txt": b"second"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def make_wheel(path: Path, files: dict[str, bytes]) -> None:
    info = path.name.split("-")[0] + "-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-pack\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


def test_local_paths_are_used_in_place(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"hello")
    for uri in (str(file), f"file:{file}", f"file://{file}"):
        assert fetch(uri, sha256=sha(b"hello")) == file
    assert fetch(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="expected: damaged"):
        fetch(str(file), sha256=sha(b"other"))
    with pytest.raises(InputError, match="no file or folder"):
        fetch(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="sha256=null"):
        fetch(str(tmp_path), sha256=sha(b""))


def test_web_file_is_fetched_once(server):
    (server.folder / "data.bin").write_bytes(b"x" * 3_000_000)
    uri = f"{server.url}/data.bin"
    path = fetch(uri, sha256=sha(b"x" * 3_000_000))
    assert path.read_bytes() == b"x" * 3_000_000
    assert fetch(uri) == path
    assert server.requests == 1
    left = [p.name for p in path.parent.iterdir()]
    assert sorted(left) == [".data.bin.lock", ".data.bin.record.json", "data.bin"]  # no scratch is left


def test_wrong_sha256_caches_nothing(server):
    (server.folder / "data.bin").write_bytes(b"tampered")
    with pytest.raises(InputError, match="sha256"):
        fetch(f"{server.url}/data.bin", sha256=sha(b"genuine"))
    assert not list(cache.root().rglob("data.bin"))


def test_a_connection_that_ends_early_is_no_file(server):
    with pytest.raises(InputError, match="9 of 100 bytes"):
        fetch(f"{server.url}/short")


@pytest.mark.parametrize("damage", [b"hell", b"HELLO"])  # another size; the same size at another time
def test_damage_is_detected_and_healed(server, damage):
    (server.folder / "a.txt").write_bytes(b"hello")
    path = fetch(f"{server.url}/a.txt")
    path.write_bytes(damage)
    os.utime(path, (1, 1))
    assert fetch(f"{server.url}/a.txt").read_bytes() == b"hello"
    assert server.requests == 2


def test_a_touched_file_is_read_again_not_fetched_again(server):
    (server.folder / "a.txt").write_bytes(b"hello")
    path = fetch(f"{server.url}/a.txt")
    os.utime(path, (1, 1))
    assert fetch(f"{server.url}/a.txt") == path
    assert server.requests == 1


def test_another_expected_sha256_is_not_answered_from_the_cache(server):
    (server.folder / "a.txt").write_bytes(b"old")
    fetch(f"{server.url}/a.txt", sha256=sha(b"old"))
    (server.folder / "a.txt").write_bytes(b"new")
    assert fetch(f"{server.url}/a.txt", sha256=sha(b"new")).read_bytes() == b"new"


def test_offline_one_line_says_where_to_put_it_and_that_works():
    uri = "https://127.0.0.1:9/file.bin"  # nobody listens on the discard port
    with pytest.raises(InputError) as caught:
        fetch(uri, sha256=sha(b"by hand"))
    message = str(caught.value)
    assert "\n" not in message
    place = Path(message.split("put the file at ")[1].split(";")[0])
    place.write_bytes(b"wrong one")
    with pytest.raises(InputError, match="not the one asked for"):
        fetch(uri, sha256=sha(b"by hand"))
    place.write_bytes(b"by hand")
    assert fetch(uri, sha256=sha(b"by hand")) == place


def test_plain_http_from_elsewhere_is_refused():
    with pytest.raises(InputError, match="https"):
        fetch("http://example.org/file")


def test_bytes_are_counted_also_where_pips_folders_vanish(tmp_path, monkeypatch):
    (tmp_path / "a.whl").write_bytes(b"12345")
    (tmp_path / "pip.log").write_bytes(b"1")
    assert origin._wheel_bytes(tmp_path) == 5

    def vanished(*_):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "rglob", vanished)
    assert origin._wheel_bytes(tmp_path) == 0


def test_file_and_folder_inside_a_wheel(wheelhouse):
    file = fetch("pypi:toy-pack==1.0/toy/data/a.txt", sha256=sha(b"first"))
    assert file.read_bytes() == b"first"
    wheel = (wheelhouse / "toy_pack-1.0-py3-none-any.whl").read_bytes()
    folder = fetch("pypi:toy-pack==1.0/toy/data/", sha256=sha(wheel))
    assert (folder / "a.txt").read_bytes() == b"first"
    assert (folder / "deep" / "b.txt").read_bytes() == b"second"
    (folder / "a.txt").write_bytes(b"dirty")
    assert (fetch("pypi:toy-pack==1.0/toy/data/", sha256=sha(wheel)) / "a.txt").read_bytes() == b"first"
    with pytest.raises(InputError, match="sha256"):
        fetch("pypi:toy-pack==1.0/toy/data/", sha256=sha(b"another wheel"))
    with pytest.raises(InputError, match="has no toy/nothing"):
        fetch("pypi:toy-pack==1.0/toy/nothing")


def test_a_wheel_put_there_by_hand_serves_without_network(wheelhouse):
    wheel = wheelhouse / "toy_pack-1.0-py3-none-any.whl"
    data = wheel.read_bytes()
    wheel.unlink()
    with pytest.raises(InputError) as caught:
        fetch("pypi:toy-pack==1.0/toy/data/", sha256=sha(data))
    message = str(caught.value)
    assert "\n" not in message
    assert "toy-pack 1.0" in message
    place = Path(message.split(" into ")[1].split(";")[0])
    place.mkdir(parents=True)
    (place / wheel.name).write_bytes(data)
    assert (fetch("pypi:toy-pack==1.0/toy/data/", sha256=sha(data)) / "a.txt").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["toy/data/../../../escape.txt", "toy/data//etc/escape.txt"])
def test_a_wheel_that_leads_outside_is_not_unpacked(own_cache, name):
    (own_cache / "asset" / "wheel").mkdir(parents=True)
    make_wheel(own_cache / "asset" / "wheel" / "toy_pack-1.0-py3-none-any.whl", {name: b"x"})
    with pytest.raises(InputError, match="leads outside"):
        fetch("pypi:toy-pack==1.0/toy/data/")
    assert not list(own_cache.rglob("escape.txt"))


def test_a_link_in_a_wheel_is_not_unpacked(own_cache):
    folder = own_cache / "asset" / "wheel"
    folder.mkdir(parents=True)
    link = zipfile.ZipInfo("toy/data/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "toy_pack-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="leads outside"):
        fetch("pypi:toy-pack==1.0/toy/data/")


def test_a_truncated_wheel_is_named(own_cache):
    folder = own_cache / "asset" / "wheel"
    folder.mkdir(parents=True)
    (folder / "toy_pack-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="not a sound wheel"):
        fetch("pypi:toy-pack==1.0/toy/data/")


@pytest.mark.parametrize("uri", ["pypi:toy-pack/toy/data/", "pypi:toy-pack==1.0", "hf:justaname", "hf:a/b@r/../../x"])
def test_malformed_uris_say_the_form(uri):
    with pytest.raises(InputError, match="not of the form"):
        fetch(uri)


def test_a_hub_repository_put_there_by_hand(own_cache):
    place = own_cache / "asset" / "hf" / "some--model@abc123"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    assert fetch("hf:some/model@abc123") == place


def test_derive_builds_once_per_content(tmp_path):
    source = tmp_path / "weights.bin"
    source.write_bytes(b"v1")
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "out.txt").write_bytes(source.read_bytes() * 2)

    first = derive(source, "doubled", build)
    assert (first / "out.txt").read_bytes() == b"v1v1"
    assert derive(source, "doubled", build) == first
    assert len(built) == 1
    (first / "out.txt").write_bytes(b"damaged")
    assert (derive(source, "doubled", build) / "out.txt").read_bytes() == b"v1v1"
    source.write_bytes(b"v2")
    assert (derive(source, "doubled", build) / "out.txt").read_bytes() == b"v2v2"
    assert len(built) == 3


def test_derive_leaves_nothing_behind_a_failed_build(tmp_path):
    source = tmp_path / "weights.bin"
    source.write_bytes(b"v1")

    def build(folder: Path) -> None:
        (folder / "half.txt").write_bytes(b"half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        derive(source, "broken", build)
    assert not list((cache.root() / "derived").glob("*half*"))
    assert not [p for p in (cache.root() / "derived").iterdir() if p.is_dir()]


def _fetch_in_process(uri: str, folder: str) -> str:
    os.environ["PTE_CACHE"] = folder
    return fetch(uri).read_text()


def test_several_processes_fetch_once(server, own_cache):
    (server.folder / "a.txt").write_bytes(b"hello")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        texts = pool.starmap(_fetch_in_process, [(f"{server.url}/a.txt", str(own_cache))] * 6)
    assert texts == ["hello"] * 6
    assert server.requests == 1


def test_checksum_of_a_large_file_follows_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LARGE", 1)
    file = tmp_path / "large.bin"
    file.write_bytes(b"one")
    os.utime(file, (1, 1))
    assert cache.checksum(file) == cache.checksum(file) == sha(b"one")
    file.write_bytes(b"two")
    os.utime(file, (1, 1))  # same size and time, another change time
    assert cache.checksum(file) == sha(b"two")


@pytest.mark.assets
def test_the_real_index_has_the_film_ratings(monkeypatch):
    uri = "pypi:recbole==1.2.1/recbole/dataset_example/ml-100k/"
    try:
        folder = fetch(uri, sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407")
    except InputError as error:
        pytest.skip(str(error))
    found = {name: sha((folder / name).read_bytes()) for name in ("ml-100k.inter", "ml-100k.item")}
    assert found == {
        "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    }


def test_no_module_of_the_package_imports_the_package():
    """`from pte.asset import ...` inside pte/asset would be an import circle through __init__."""
    for path in (CONF_DIR.parent / "pte" / "asset").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "pte.asset"), path
