"""Connections to workers by dask.distributed; it is imported, and ports are opened, only when one is asked for."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from napari_salt.errors import InputError, JobFailed
from napari_salt.faults import advice
from napari_salt.optional import need
from napari_salt.scale.settings import ClusterSettings

if TYPE_CHECKING:
    from distributed import Client

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10
WHAT = "Working on a cluster"


@contextmanager
def open_client(settings: ClusterSettings) -> Iterator[Client]:
    """A client of the cluster that ``settings`` name; workers of our own end with it.

    Raises
    ------
    InputError
        Settings that mean nothing, or an unencrypted connection nobody asked for.
    MissingExtra
        distributed is not installed.
    JobFailed
        There is no scheduler at the address, or it does not trust our certificate.
    """
    settings.check()
    distributed: Any = need("distributed", "cluster", WHAT)
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if settings.workers:
            address, security = _own_workers(settings.workers, distributed, stack)
        else:
            address, security = settings.address, _security(settings, distributed)
        try:
            client = distributed.Client(
                address, security=security, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise JobFailed(
                f"There is no answer from a scheduler at {address} ({_short(error)}); check that it runs, the "
                "address, and the TLS files where it uses them."
            ) from error
        stack.callback(_close, client, 5)
        yield client


def _own_workers(count: int, distributed: Any, stack: ExitStack) -> tuple[Any, Any]:
    """Start processes on this computer that only this job can speak to."""
    need("cryptography", "cluster", "Starting workers")
    security = distributed.Security.temporary()
    threads = str(max(1, (os.cpu_count() or 1) // count))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # both sides bring a web server along; it is bound to loopback and has nothing to show
    dask: Any = need("dask", "cluster", WHAT)
    stack.enter_context(
        dask.config.set({f"distributed.{side}.http.routes": [] for side in ("scheduler", "worker")})
    )
    try:
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            protocol="tls",
            host=LOOPBACK,
            security=security,
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            env={name: os.environ.get(name, threads) for name in names},
        )
    except (OSError, RuntimeError, ValueError) as error:
        helps = advice(error) or "take fewer of them, or allow more open files (ulimit -n)"
        raise JobFailed(
            f"Workers cannot be started on this computer ({_short(error)}); {helps}."
        ) from error
    stack.callback(_close, cluster, 30)
    return cluster, security


def _security(settings: ClusterSettings, distributed: Any) -> Any:
    if settings.address.startswith("tcp:"):
        return None
    if settings.tls_ca is None:
        configured = distributed.Security(require_encryption=True)
        if not (configured.tls_ca_file and configured.tls_client_cert):
            raise InputError(
                f"{settings.address} is encrypted, and Dask's own configuration names no certificates; give --tls-ca, "
                "--tls-cert and --tls-key, or set distributed.comm.tls there."
            )
        return configured
    return distributed.Security(
        tls_ca_file=str(settings.tls_ca),
        tls_client_cert=str(settings.tls_cert),
        tls_client_key=str(settings.tls_key),
        require_encryption=True,
    )


def _close(what: Any, seconds: float) -> None:
    """Everything is on the disk by now: one that is slow to end fails no job, and ends with this process."""
    with suppress(TimeoutError):
        what.close(timeout=seconds)


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's own log is for those who look after clusters; what users need to know is said by us."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= 120 else f"{text[:117]}...") or type(error).__name__
