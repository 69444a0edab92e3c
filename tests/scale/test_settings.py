"""Where the workers may be, and what is refused before anything is sent."""

from __future__ import annotations

import dask
import distributed
import pytest

from napari_salt.errors import InputError, JobFailed
from napari_salt.scale import cluster
from napari_salt.scale.chunks import LONGEST, chunks_of
from napari_salt.scale.settings import ClusterSettings, is_loopback


@pytest.fixture
def files(tmp_path):
    found = {}
    for name in ("tls_ca", "tls_cert", "tls_key"):
        found[name] = tmp_path / f"{name}.pem"
        found[name].write_text("")
    return found


@pytest.mark.parametrize(
    "settings",
    [
        ClusterSettings(workers=2),
        ClusterSettings("tcp://127.0.0.1:8786"),
        ClusterSettings("tcp://localhost:8786"),
        ClusterSettings("tcp://[::1]:8786"),
        ClusterSettings("tcp://10.0.0.3:8786", insecure=True),
    ],
)
def test_what_may_be_used(settings):
    settings.check()


def test_tls_with_its_three_files_may_be_used(files):
    ClusterSettings("tls://head:8786", **files).check()


@pytest.mark.parametrize(
    "address",
    ["tcp://head:8786", "tcp://10.0.0.3:8786", "tcp://0.0.0.0:8786", "tcp://127.0.0.1.evil.org:1"],
)
def test_plain_tcp_to_another_machine_needs_a_word(address):
    with pytest.raises(InputError, match=r"not encrypted.*--insecure"):
        ClusterSettings(address).check()


@pytest.mark.parametrize(
    "address", ["head:8786", "tcp://head", "tcp://:8786", "ws://head:8786", "tcp://h:port", "head"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="no address of a scheduler"):
        ClusterSettings(address, insecure=True).check()


def test_tls_files_are_asked_for_one_by_one(files):
    ClusterSettings("tls://head:8786").check()  # all of them from Dask's own configuration
    with pytest.raises(InputError, match="needs the CA as well"):
        ClusterSettings("tls://head:8786", **(files | {"tls_ca": None})).check()
    with pytest.raises(InputError, match="needs the key as well"):
        ClusterSettings("tls://head:8786", **(files | {"tls_key": None})).check()
    files["tls_cert"].unlink()
    with pytest.raises(InputError, match="check the path of the certificate"):
        ClusterSettings("tls://head:8786", **files).check()


def test_tls_files_without_tls_are_a_mistake(files):
    with pytest.raises(InputError, match="write tls://"):
        ClusterSettings("tcp://127.0.0.1:8786", **files).check()
    with pytest.raises(InputError, match="certificates of their own"):
        ClusterSettings(workers=2, **files).check()


@pytest.mark.parametrize("settings", [ClusterSettings(), ClusterSettings("tcp://127.0.0.1:1", 2)])
def test_it_is_one_or_the_other(settings):
    with pytest.raises(InputError, match="one of the two"):
        settings.check()


def test_no_more_workers_than_a_computer_has_use_for(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    ClusterSettings(workers=16).check()
    with pytest.raises(InputError, match=r"has 2 cores, and 999999 workers .* at most 16"):
        ClusterSettings(workers=999_999).check()


def test_an_encrypted_connection_without_any_certificates_is_refused_at_once():
    settings = ClusterSettings("tls://head:8786")
    settings.check()  # they may be in Dask's own configuration
    with pytest.raises(InputError, match="give --tls-ca, --tls-cert and --tls-key, or set"):
        cluster._security(settings, distributed)
    place, own = "distributed.comm.tls", {"ca-file": "ca.pem", "client.cert": "c.pem"}
    with dask.config.set({f"{place}.{name}": file for name, file in own.items()}):
        assert cluster._security(settings, distributed).tls_client_cert == "c.pem"


def test_loopback_is_told_without_asking_anyone():
    assert is_loopback("127.9.9.9")
    assert not is_loopback("localhost.example.org")


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("count", "workers"), [(1, 1), (7, 2), (300, 2), (10_000, 64), (5, 99)])
def test_chunks_are_all_slices_in_order(count, workers, together):
    chunks = chunks_of(range(count), workers, together=together)
    assert [index for chunk in chunks for index in chunk] == list(range(count))
    assert max(map(len, chunks)) <= LONGEST
    assert len(chunks) >= min(count, workers)


@pytest.mark.parametrize(
    ("count", "workers", "lengths"),
    [(24, 1, [24]), (24, 2, [12, 12]), (120, 2, [20] * 6), (10_000, 2, [32] * 312 + [16])],
)
def test_chunks_of_slices_that_decide_together_are_long_and_as_many_for_each_worker(
    count, workers, lengths
):
    chunks = chunks_of(range(count), workers, together=True)
    assert list(map(len, chunks)) == lengths


def test_chunks_of_large_planes_that_are_sent_are_short():
    assert max(map(len, chunks_of(range(300), 2, 30_000_000))) == 2
    assert max(map(len, chunks_of(range(300), 2, 10**9))) == 1


def test_workers_that_do_not_start_are_a_sentence(monkeypatch):
    def refuse(**_):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", refuse)
    told = r"Workers cannot be started .*\(Nanny failed to start\.\); take fewer"
    with pytest.raises(JobFailed, match=told), cluster.open_client(ClusterSettings(workers=2)):
        pass
