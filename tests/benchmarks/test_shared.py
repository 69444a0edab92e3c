"""Shared work is done once and charged to each; anything else that decides a result makes another key."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import shared


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared, "FOLDER", tmp_path)
    monkeypatch.setattr(shared, "LEDGER", shared.Ledger())
    clock = iter(range(10_000))
    monkeypatch.setattr(shared.time, "perf_counter", lambda: float(next(clock)))


def made_once() -> tuple[list[int], object]:
    calls: list[int] = []

    def make() -> np.ndarray:
        calls.append(1)
        return np.full(3, 0.1, np.float32)

    return calls, make


def test_an_array_in_memory_is_made_once_and_charged_again() -> None:
    calls, make = made_once()
    recent = shared.Recent()
    recent.get("a", make)
    assert shared.LEDGER.owed == 0
    assert np.array_equal(recent.get("a", make), make())
    assert len(calls) == 2  # the second one is ours, to compare with
    assert shared.LEDGER.settle() > 0
    assert shared.LEDGER.owed == 0


def test_memory_is_bounded_and_the_oldest_goes() -> None:
    calls, make = made_once()
    recent = shared.Recent(limit=24)  # two arrays of three float32
    for key in "abac":
        recent.get(key, make)
    assert len(calls) == 3
    recent.get("a", make)
    assert len(calls) == 3
    recent.get("b", make)
    assert len(calls) == 4


def test_a_kept_value_is_found_by_its_arguments_and_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, make = made_once()
    shared.kept("x", (1, "a"), make)
    shared.kept("x", (1, "a"), make)
    assert len(calls) == 1
    shared.kept("x", (2, "a"), make)
    assert len(calls) == 2
    monkeypatch.setattr(shared, "sources", lambda: "changed")
    shared.kept("x", (1, "a"), make)
    assert len(calls) == 3


def test_a_kept_generator_returns_the_same_without_working() -> None:
    worked = []

    def work(values: torch.Tensor, rows: int) -> Generator[float, None, dict[str, torch.Tensor]]:
        worked.append(rows)
        yield 0.5
        return {"sum": values.sum(0) * rows}

    def finish(work: Generator[float, None, dict]) -> tuple[list[float], dict]:
        seen = []
        while True:
            try:
                seen.append(next(work))
            except StopIteration as stop:
                return seen, stop.value

    ready = shared.kept_generator("fit", work, {"RATE": "1"})
    values = torch.arange(6.0).reshape(2, 3)
    first = finish(ready(values, 2))
    again = finish(ready(values.clone(), 2))
    assert first[0] == [0.5]
    assert again[0] == []
    assert torch.equal(first[1]["sum"], again[1]["sum"])
    finish(ready(values + 1, 2))
    finish(shared.kept_generator("fit", work, {"RATE": "2"})(values, 2))
    assert worked == [2, 2, 2]


def test_arrays_on_disk_are_the_same_when_new_and_when_found() -> None:
    calls, make = made_once()
    new, found = (shared.kept_array("maps", "key", make) for _ in range(2))
    assert np.array_equal(new, found)
    assert new.dtype == np.float32
    assert len(calls) == 1


def test_cached_activations_are_charged_what_they_had_cost() -> None:
    cache = shared.TimedCache()
    device = torch.device("cpu")
    assert cache.get("k", device) is None
    cache.put("k", {"tap": torch.ones(1, 2)})
    assert shared.LEDGER.owed == 0
    assert cache.get("k", device) is not None
    assert shared.LEDGER.owed == 0  # one tick to make, one tick to find


@dataclass(frozen=True)
class Thing:
    values: torch.Tensor
    part: slice


def test_digests_tell_contents_apart() -> None:
    one = Thing(torch.zeros(2, 3), slice(0, 2))
    assert shared.digest(one) == shared.digest(Thing(torch.zeros(2, 3), slice(0, 2)))
    others = [
        Thing(torch.zeros(3, 2), slice(0, 2)),
        Thing(torch.zeros(2, 3), slice(0, 3)),
        Thing(torch.zeros(2, 3).double(), slice(0, 2)),
        ["ab", "c"],
        ["a", "bc"],
        [1, True],
        [1, 1],
    ]
    assert len({shared.digest(other) for other in [one, *others]}) == len(others) + 1
    with pytest.raises(TypeError):
        shared.digest(object())
