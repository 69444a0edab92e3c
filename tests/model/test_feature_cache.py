"""The cache of activations: what comes back, what goes first, and what may break."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from napari_salt.errors import InputError
from napari_salt.model import feature_cache
from napari_salt.model.feature_cache import FeatureCache, FeaturesInMemory, rounded

CPU = torch.device("cpu")


def activations(seed: int = 0, count: int = 100) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    make = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "tail_input": make(1, count, 4),
        "stage1": make(1, 3, 8, 8),
        "stage2": make(1, 2, 4, 4),
    }


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache(tmp_path)


def files(cache: FeatureCache) -> list[Path]:
    return sorted(path for path in cache.folder.iterdir())


def test_what_is_put_comes_back_in_half_precision(cache):
    stored = activations()
    cache.put("k", stored)
    found = cache.get("k", CPU)
    assert list(found) == ["stage1", "stage2", "tail_input"]
    for name, values in stored.items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], values.half().float())
    assert cache.get("other", CPU) is None


def test_rounding_beforehand_gives_what_comes_back(cache):
    stored = activations()
    stored["tail_input"][0, 0, :2] = torch.tensor([1e6, -1e6])  # beyond half precision
    cache.put("k", rounded(stored))
    found = cache.get("k", CPU)
    assert all(torch.equal(found[name], values) for name, values in rounded(stored).items())
    assert torch.isfinite(found["tail_input"]).all()
    assert rounded({"stage1": stored["stage1"].mT})["stage1"].is_contiguous()


def test_a_cache_to_read_from_adds_nothing(cache):
    cache.put("k", activations())
    reading = cache.reading()
    reading.put("other", activations())
    assert reading.get("other", CPU) is None
    assert reading.get("k", CPU).keys() == activations().keys()
    assert len(files(cache)) == 1


def test_memory_keeps_for_one_more_look_what_there_is_room_for():
    stored = activations()
    size = sum(values.numel() * 2 for values in stored.values())
    memory = FeaturesInMemory(2 * size)
    for key in "abc":
        memory.put(key, stored)
    assert memory.get("c", CPU) is None, "no room was left"
    found = memory.get("a", CPU)
    assert list(found) == ["stage1", "stage2", "tail_input"]
    assert all(torch.equal(found[name], values) for name, values in rounded(stored).items())
    assert memory.get("a", CPU) is not None
    assert not memory.holds(1)
    reading = memory.reading()
    assert reading.get("a", CPU) is not None
    assert reading.get("a", CPU) is None, "wanted once"
    reading.put("d", stored)
    assert reading.get("d", CPU) is None
    memory.clear()
    assert memory.get("b", CPU) is None


def test_another_object_on_the_same_folder_finds_it(cache, tmp_path):
    cache.put("k", activations())
    assert FeatureCache(tmp_path).get("k", CPU) is not None


def test_a_key_stands_for_pixels_and_context():
    frames = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    other = frames.clone()
    other[0, 0, 0, 0] += 1e-6
    keys = {
        FeatureCache.key(frames, "weights", "cut 2"),
        FeatureCache.key(frames, "weights", "cut 3"),
        FeatureCache.key(frames, "weightscut", " 2"),
        FeatureCache.key(other, "weights", "cut 2"),
    }
    assert len(keys) == 4
    strided = frames.mT.contiguous().mT
    assert FeatureCache.key(strided, "weights", "cut 2") in keys


def test_the_least_recently_used_goes_first(tmp_path):
    probe = FeatureCache(tmp_path / "probe")
    probe.put("k", activations())
    size = files(probe)[0].stat().st_size
    cache = FeatureCache(tmp_path, limit=round(3.5 * size))
    for age, key in enumerate(("a", "b", "c")):
        cache.put(key, activations())
        os.utime(cache.folder / f"{key}.safetensors", (1000 + age, 1000 + age))
    cache.get("a", CPU)
    cache.put("d", activations())
    assert cache.get("b", CPU) is None
    assert all(cache.get(key, CPU) is not None for key in "acd")
    assert sum(path.stat().st_size for path in files(cache)) <= cache.limit


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    cache = FeatureCache(tmp_path, limit=1000)
    cache.put("k", activations())
    assert cache.get("k", CPU) is None
    nothing = FeatureCache(tmp_path, limit=0)
    nothing.put("k", activations())
    assert nothing.get("k", CPU) is None


@pytest.mark.parametrize("damage", [b"", b"nonsense", None, "foreign"])
def test_a_damaged_file_counts_as_absent_and_is_replaced(cache, damage):
    cache.put("k", activations())
    (path,) = files(cache)
    if damage == "foreign":
        feature_cache.save_file({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(path.read_bytes()[:-7] if damage is None else damage)
    assert cache.get("k", CPU) is None
    cache.put("k", activations(1))
    assert torch.equal(
        cache.get("k", CPU)["tail_input"], activations(1)["tail_input"].half().float()
    )


@pytest.mark.parametrize("place", [-1, -101, -500, 0.5])
def test_a_flipped_bit_among_the_values_counts_as_absent_and_is_replaced(cache, place):
    cache.put("k", activations())
    (path,) = files(cache)
    content = bytearray(path.read_bytes())
    content[place if isinstance(place, int) else int(place * len(content))] ^= 1
    path.write_bytes(content)
    assert cache.get("k", CPU) is None
    cache.put("k", activations())
    assert cache.get("k", CPU) is not None


def test_a_file_without_a_checksum_counts_as_absent(cache):
    cache.put("k", activations())
    (path,) = files(cache)
    feature_cache.save_file({"tail_input": torch.zeros(1, 100, 4)}, path)
    assert cache.get("k", CPU) is None


@pytest.mark.parametrize(
    "error",
    [PermissionError(13, "denied"), SafetensorError("No space left on device (os error 28)")],
)
def test_a_disk_that_takes_nothing_costs_only_time(cache, monkeypatch, error):
    def fail(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(feature_cache, "save_file", fail)
    cache.put("k", activations())
    assert cache.get("k", CPU) is None
    assert files(cache) == []


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path):
    (tmp_path / "file").write_text("no folder")
    cache = FeatureCache(tmp_path / "file")
    cache.put("k", activations())
    assert cache.get("k", CPU) is None
    cache.clear()


def test_a_folder_that_can_only_be_read_is_read(cache, monkeypatch):
    cache.put("k", activations())

    def denied(*_):
        raise PermissionError(13, "denied")

    monkeypatch.setattr(feature_cache.os, "utime", denied)
    assert cache.get("k", CPU) is not None


def test_leftovers_of_killed_jobs_count_and_go(tmp_path):
    cache = FeatureCache(tmp_path, limit=6000)
    cache.folder.mkdir(parents=True)
    for name in ("k.123.tmp", ".tmpAbC"):
        (cache.folder / name).write_bytes(bytes(6000))
        os.utime(cache.folder / name, (1000, 1000))
    cache.put("k", activations())
    assert [path.name for path in files(cache)] == ["k.safetensors"]


def test_clear_forgets_everything(cache):
    for key in "ab":
        cache.put(key, activations())
    cache.clear()
    assert files(cache) == []
    cache.clear()


def test_folder_and_limit_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SALT_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("NAPARI_SALT_CACHE_MB", "3")
    cache = FeatureCache()
    assert cache.folder == tmp_path / "mine" / "features"
    assert cache.limit == 3 * 1024**2
    assert FeatureCache(tmp_path, limit=5).limit == 5
    monkeypatch.setenv("NAPARI_SALT_CACHE_MB", "plenty")
    with pytest.raises(InputError, match="NAPARI_SALT_CACHE_MB"):
        FeatureCache()
