"""Where the workers are, and how to speak with them; checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from napari_salt.errors import InputError

PROTOCOLS = ("tls", "tcp")
LEAST_MOST, WORKERS_A_CORE = 16, 4
"""How many workers of our own may be asked for: so many in any case, or so many for each core."""


@dataclass(frozen=True)
class ClusterSettings:
    """Which workers to use: those of a scheduler at ``address``, or ``workers`` processes on this computer.

    Attributes
    ----------
    address
        ``tls://host:8786`` or ``tcp://host:8786``; empty for workers of our own.
    workers
        How many processes to start here; loopback only, with certificates made for the occasion.
    tls_ca, tls_cert, tls_key
        PEM files: the authority that both sides trust, our certificate, its key. None of them: those that Dask's own
        configuration names.
    insecure
        Whether an unencrypted connection to another machine is wanted.
    """

    address: str = ""
    workers: int = 0
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    def check(self) -> None:
        """InputError when these settings mean nothing, or would speak in the open without being asked to."""
        if bool(self.address) == bool(self.workers):
            raise InputError(
                "Give the address of a cluster or a number of workers, one of the two."
            )
        files = {"CA": self.tls_ca, "certificate": self.tls_cert, "key": self.tls_key}
        if self.workers:
            if any(files.values()):
                raise InputError(
                    "Workers on this computer get certificates of their own; leave the TLS files out."
                )
            cores = os.cpu_count() or 1
            most = max(LEAST_MOST, WORKERS_A_CORE * cores)
            if self.workers > most:
                raise InputError(
                    f"This computer has {cores} cores, and {self.workers} workers would only take its memory; give at "
                    f"most {most}."
                )
            return
        protocol, host = _parts(self.address)
        if protocol == "tcp":
            self._check_plain(host, any(files.values()))
            return
        for what, path in files.items() if any(files.values()) else ():
            if path is None:
                raise InputError(
                    f"An encrypted connection needs the {what} as well; give --tls-ca, --tls-cert and --tls-key."
                )
            if not path.is_file():
                raise InputError(f"There is no TLS file '{path}'; check the path of the {what}.")

    def _check_plain(self, host: str, has_files: bool) -> None:
        if has_files:
            raise InputError(
                f"{self.address} is not encrypted, so the TLS files would not be used; write tls:// instead of tcp://."
            )
        if not (self.insecure or is_loopback(host)):
            raise InputError(
                f"{self.address} is not encrypted: anyone on the way could read the images and run programs on the "
                "workers. Use tls:// with --tls-ca, --tls-cert and --tls-key, or add --insecure where nobody else is "
                "on that network."
            )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this very computer by name or number, without asking any name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(address: str) -> tuple[str, str]:
    """Protocol and host; InputError where the address has not both, and a port."""
    try:
        found = urlsplit(address)
        host, port = found.hostname, found.port
    except ValueError:
        host = port = None
    if not host or port is None or found.scheme not in PROTOCOLS:
        raise InputError(
            f"'{address}' is no address of a scheduler; write it like tls://host:8786 or tcp://127.0.0.1:8786."
        )
    return found.scheme, host
