"""Weight files: a private cache folder, SHA-256 checks, and a download that resumes. No torch here.

Downloads go over HTTPS, with the server's certificate verified, redirections included, and what arrives must have the
SHA-256 that this package knows. Plain HTTP is for this very machine only.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

from napari_salt.errors import OutputError, WeightsError

FOLDER_VARIABLE = "NAPARI_SALT_WEIGHTS"
"""Environment variable that moves the folder of downloaded weights."""

CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds without an answer from the server until a try is given up."""

TRIES = 3
"""Connections made before giving up; each continues where the one before broke off."""

PRIVATE = 0o700
"""Permissions of folders that we make: what lies there is loaded later."""

_HERE = ("127.0.0.1", "::1", "localhost")

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while a file is fetched."""


@dataclass(frozen=True)
class WeightsFile:
    """A file on a server: backbone name, address, SHA-256 in hex, and size in bytes."""

    name: str
    url: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


def weights_folder() -> Path:
    """Where downloaded weights are kept: ``NAPARI_SALT_WEIGHTS``, or the user's cache folder."""
    asked = os.environ.get(FOLDER_VARIABLE)
    if asked:
        return Path(asked).expanduser()
    return Path(platformdirs.user_cache_dir("napari-salt")) / "weights"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex; remembered while its size and time of change stay the same."""
    try:
        status = path.stat()
        key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        if key not in _known_hashes:
            with path.open("rb") as file:
                _known_hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"The weights {path} cannot be read ({error.strerror}); give the path of a checkpoint."
        ) from error
    return _known_hashes[key]


_known_hashes: dict[tuple[str, int, int], str] = {}


def check_sha256(path: Path, expected: str, name: str) -> None:
    """WeightsError unless the file at ``path`` has the SHA-256 ``expected``."""
    found = file_sha256(path)
    if found != expected:
        raise WeightsError(
            f"{path} is not the file of '{name}' (SHA-256 {found}, expected {expected}); "
            "delete it and try again."
        )


def fetch(
    weights: WeightsFile, folder: Path | None = None, progress: Progress | None = None
) -> Path:
    """Path of a checked copy of ``weights``, downloaded on first use.

    Bytes go to ``<filename>.part`` and stay there when the connection breaks, so that the next call
    continues. The file takes its name only after its SHA-256 has been checked.

    Raises
    ------
    WeightsError
        The server cannot be reached, or sent another file.
    OutputError
        The folder cannot be written to.
    """
    folder = weights_folder() if folder is None else folder
    path = folder / weights.filename
    if path.exists():
        check_sha256(path, weights.sha256, weights.name)
        return path
    part = path.with_name(path.name + ".part")
    try:
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        _download(weights, part, progress)
        found = file_sha256(part)
        if found != weights.sha256:
            part.unlink()
            raise WeightsError(
                f"The file of '{weights.name}' arrived damaged (SHA-256 {found}, expected "
                f"{weights.sha256}); try again, or {_by_hand(weights)}"
            )
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"The weights of '{weights.name}' cannot be stored in {folder} ({error.strerror}); "
            f"free {weights.size / 1e6:.0f} MB or set {FOLDER_VARIABLE} to another folder."
        ) from error
    return path


def _download(weights: WeightsFile, part: Path, progress: Progress | None) -> None:
    reason: Exception | None = None
    for _ in range(TRIES):
        have = part.stat().st_size if part.exists() else 0
        if have > weights.size:
            part.unlink()
            have = 0
        if have == weights.size:
            return
        try:
            _receive(weights, part, have, progress)
        except (_BrokenConnectionError, urllib.error.URLError, http.client.HTTPException) as error:
            reason = error
    if part.exists() and part.stat().st_size >= weights.size:
        return
    cause = getattr(reason, "reason", None) or reason or "the connection broke off"
    raise WeightsError(
        f"'{weights.name}' could not be downloaded ({cause}); {_by_hand(weights)}"
    ) from reason


class _BrokenConnectionError(Exception):
    """The connection failed while bytes were read, not the disk while they were kept."""


def _receive(weights: WeightsFile, part: Path, have: int, progress: Progress | None) -> None:
    _check_address(weights.url)
    request = urllib.request.Request(weights.url)  # noqa: S310 - looked at in the line above
    if have:
        request.add_header("Range", f"bytes={have}-")
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=_verifying()), _SafeRedirections()
    )
    try:
        response = opener.open(request, timeout=TIMEOUT)
    except OSError as error:  # URLError and HTTPError are OSErrors too, but none is of the disk
        raise _BrokenConnectionError(getattr(error, "reason", None) or error) from error
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server sends the whole file, whatever was asked for
        with part.open("ab" if have else "wb") as file:
            while have <= weights.size and (block := _read(response)):
                file.write(block)
                have += len(block)
                if progress is not None:
                    progress(have, weights.size)


class _SafeRedirections(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address of the same safety."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(url: str) -> None:
    """``WeightsError`` for anything but HTTPS, or HTTP to this machine."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise WeightsError(
            f"{url} is no HTTPS address, so nothing is downloaded from there; download the file by hand and pass its "
            "path with --backbone."
        )


def _verifying() -> ssl.SSLContext:
    """Certificates and host names are checked against the authorities that the system trusts."""
    return ssl.create_default_context()


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except http.client.IncompleteRead as error:
        return error.partial
    except OSError as error:
        raise _BrokenConnectionError(error) from error


def _by_hand(weights: WeightsFile) -> str:
    return f"download it on another machine from {weights.url} and pass the path with --backbone."
