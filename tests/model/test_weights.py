"""Downloads against a server on this machine: resume, damage, offline, full disk, and servers of others."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from napari_salt.errors import OutputError, WeightsError
from napari_salt.model import weights as weights_module
from napari_salt.model.backbones.registry import BACKBONES
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
        self.moved_to = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/some/where/model.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.moved_to:
            self.send_response(302)
            self.send_header("Location", self.server.moved_to)
            self.end_headers()
            return
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
        with contextlib.suppress(ConnectionError):  # whoever has enough hangs up
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


# --- what is not trusted --------------------------------------------------------------------------


def authority(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody signed but itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture
def sealed(server, tmp_path) -> tuple[WeightsFile, Path]:
    """The server behind TLS, and the certificate that vouches for it."""
    certificate, key = authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    return WeightsFile("sam-test", url, SHA256, len(CONTENT)), certificate


def test_a_server_that_nobody_vouches_for_is_refused(server, sealed, tmp_path):
    with pytest.raises(WeightsError, match="certificate verify failed") as caught:
        fetch(sealed[0], tmp_path / "new")
    assert "download it on another machine" in str(caught.value)
    assert server.ranges == []
    assert not list((tmp_path / "new").iterdir())


def test_a_server_that_is_vouched_for_is_served_by(sealed, tmp_path, monkeypatch):
    weights, certificate = sealed
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(weights_module, "_verifying", lambda: trusting)
    assert fetch(weights, tmp_path / "new").read_bytes() == CONTENT


def test_certificates_and_host_names_are_checked():
    context = weights_module._verifying()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    "url", ["http://example.org/model.pth", "ftp://example.org/m", "file:///etc/passwd"]
)
def test_other_addresses_than_https_are_refused(tmp_path, url):
    with pytest.raises(WeightsError, match="no HTTPS address"):
        fetch(WeightsFile("sam-test", url, SHA256, len(CONTENT)), tmp_path)


def test_a_server_cannot_send_us_to_an_unsafe_address(server, weights, tmp_path):
    server.moved_to = "http://example.org/model.pth"
    with pytest.raises(WeightsError, match=r"example.org.* is no HTTPS address"):
        fetch(weights, tmp_path)


def test_a_file_without_end_is_cut_off(server, weights, tmp_path):
    server.content = CONTENT * 50
    with pytest.raises(WeightsError):
        fetch(weights, tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= len(CONTENT) + 2**20


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions there")
def test_the_folder_is_the_user_s_alone(server, weights, tmp_path):
    path = fetch(weights, tmp_path / "new")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_known_address_is_https_with_a_hash():
    known = [entry.download for entry in BACKBONES.values() if entry.download is not None]
    assert known
    for download in known:
        assert download.url.startswith("https://")
        assert len(bytes.fromhex(download.sha256)) == 32
