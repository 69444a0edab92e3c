"""Downloads against a server on this machine: resume, damage, offline, full disk."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_salt.errors import OutputError, WeightsError
from napari_salt.model import weights as weights_module
from napari_salt.model.weights import (
    WeightsFile,
    check_sha256,
    fetch,
    file_sha256,
    weights_folder,
)

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``CONTENT``, breaking off after ``break_after`` bytes; remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges: list[str | None] = []
        self.break_after: list[int] = []
        self.knows_ranges = True
        self.status: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/some/where/model.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.status is not None:
            self.send_error(self.server.status)
            return
        body, status = self.server.content, 200
        if asked is not None and self.server.knows_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            body, status = body[start:], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        stop = self.server.break_after.pop(0) if self.server.break_after else len(body)
        self.wfile.write(body[:stop])
        if stop < len(body):
            self.close_connection = True

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def weights(server: Server) -> WeightsFile:
    return WeightsFile("sam-test", server.url, SHA256, len(CONTENT))


def test_a_download_arrives_under_its_name_and_is_not_repeated(server, weights, tmp_path):
    seen: list[tuple[int, int]] = []
    path = fetch(weights, tmp_path / "new", lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "new" / "model.pth"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["model.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert fetch(weights, tmp_path / "new") == path
    assert server.ranges == [None]


def test_a_broken_connection_is_continued(server, weights, tmp_path):
    server.break_after = [300_000, 500_000]
    path = fetch(weights, tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=800000-"]


def test_a_later_call_continues_what_an_earlier_one_left(server, weights, tmp_path):
    server.break_after = [100, 200, 300, 400]
    with pytest.raises(WeightsError, match="broke off"):
        fetch(weights, tmp_path)
    part = tmp_path / "model.pth.part"
    assert part.read_bytes() == CONTENT[:600]
    assert not (tmp_path / "model.pth").exists()
    server.break_after = []
    server.ranges = []
    assert fetch(weights, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=600-"]
    assert not part.exists()


def test_a_server_without_ranges_sends_it_all_again(server, weights, tmp_path):
    server.knows_ranges = False
    (tmp_path / "model.pth.part").write_bytes(b"x" * 1000)
    assert fetch(weights, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_only_checked(server, weights, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    assert fetch(weights, tmp_path).read_bytes() == CONTENT
    assert server.ranges == []


def test_a_part_that_is_too_long_is_thrown_away(server, weights, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT + b"more")
    assert fetch(weights, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.parametrize("start", [b"", b"x" * 1000])
def test_a_damaged_file_is_refused_and_forgotten(server, weights, tmp_path, start):
    if start:
        (tmp_path / "model.pth.part").write_bytes(start)  # as left by a damaged earlier try
    else:
        server.content = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsError, match="arrived damaged") as caught:
        fetch(weights, tmp_path)
    assert server.url in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    server.content = CONTENT
    assert fetch(weights, tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_in_the_folder_is_not_used(weights, tmp_path):
    (tmp_path / "model.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="delete it and try again") as caught:
        fetch(weights, tmp_path)
    assert SHA256 in str(caught.value)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_what_the_server_says_is_passed_on(server, weights, tmp_path, status):
    server.status = status
    with pytest.raises(WeightsError, match="could not be downloaded"):
        fetch(weights, tmp_path)


def test_offline_says_what_to_do(tmp_path):
    with Server() as closed:
        url = closed.url
    weights = WeightsFile("sam-vit-b", url, SHA256, len(CONTENT))
    with pytest.raises(WeightsError) as caught:
        fetch(weights, tmp_path)
    sentence = str(caught.value)
    assert "'sam-vit-b' could not be downloaded" in sentence
    assert f"download it on another machine from {url}" in sentence
    assert "--backbone" in sentence
    assert "\n" not in sentence


def test_a_full_disk_is_not_taken_for_the_network(server, weights, tmp_path, monkeypatch):
    original = Path.open

    def full(self, mode="r", *args, **kwargs):
        if "b" in mode and ("w" in mode or "a" in mode):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        fetch(weights, tmp_path)
    assert "NAPARI_SALT_WEIGHTS" in str(caught.value)
    assert len(server.ranges) == 1


def test_the_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SALT_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.delenv("NAPARI_SALT_WEIGHTS")
    assert weights_folder().name == "weights"


def test_hashes_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(weights_module.hashlib, "file_digest", None)
        assert file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    check_sha256(path, hashlib.sha256(b"three").hexdigest(), "file")
    with pytest.raises(WeightsError, match="cannot be read"):
        file_sha256(tmp_path / "missing")


def test_the_registry_needs_no_torch():
    code = (
        "import sys; from napari_salt.model.backbones.registry import BACKBONES, backbone_sha256;"
        "assert backbone_sha256('sam-vit-b'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
