"""Rows outlive the program that measured them, and count for the commit that they were measured at."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest

import memory
import results
from rows import Rows


@pytest.fixture
def at(monkeypatch):
    """Says which commit the sources are at."""

    def say(commit):
        monkeypatch.setattr(results, "commit", lambda: commit)

    say("abc")
    return say


@pytest.fixture
def scale(monkeypatch):
    """The program, without the settings that it makes for the processes that it starts."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("NAPARI_SALT_CACHE_MB", "0")
    return importlib.import_module("scale")


def test_the_newest_row_of_the_same_sources_is_found(tmp_path, at):
    rows = Rows("some", tmp_path)
    assert rows.find(side=1) is None
    rows.keep({"side": 1, "peak": 5})
    rows.keep({"side": 2, "peak": 6})
    rows.keep({"side": 1, "peak": 7})
    again = Rows("some", tmp_path)
    assert again.find(side=1)["peak"] == 7
    assert again.find(side=2)["peak"] == 6
    assert set(again.find(side=2)) == {"side", "peak", "date", "commit", "machine", "load"}
    at("abd")
    assert Rows("some", tmp_path).find(side=1) is None
    at("abc+")
    changed = Rows("some", tmp_path)
    changed.keep({"side": 3})
    assert changed.find(side=3) is None, "nobody knows what the sources were"


def test_a_row_cut_short_is_passed_over(tmp_path, at):
    rows = Rows("some", tmp_path)
    rows.keep({"side": 1})
    path = tmp_path / "some" / "rows.jsonl"
    path.write_text(path.read_text() + '{"side": 2, "com')
    assert rows.find(side=1) is not None
    assert rows.find(side=2) is None


def test_memory_goes_on_with_the_stack_that_is_missing(tmp_path, at, monkeypatch):
    ran = []

    def run(count, side, adapter):
        ran.append(count)
        if count == 20:
            raise KeyboardInterrupt
        return {"peak": count, "pixels": 1, "seconds": 2.0}

    monkeypatch.setattr(memory, "run", run)
    with pytest.raises(KeyboardInterrupt):
        memory.measured(8, (10, 20), None, Rows("memory", tmp_path))
    monkeypatch.setattr(memory, "run", lambda count, *_: {"peak": 2 * count, "seconds": 4.0})
    pair = memory.measured(8, (10, 20), None, Rows("memory", tmp_path))
    assert ran == [10, 20]
    assert (pair.peaks, pair.seconds) == ((10, 40), 4.0)
    assert f"{pair.measured}, on " in memory.section([pair])
    assert pair.measured.endswith("at abc")


def test_scale_goes_on_with_the_run_that_is_missing(tmp_path, at, scale):
    told = scale.Run("this process", 8, 4.0, 100, "m")
    overheads = scale.Overheads(0.5, 0.01, 900.0)
    asked = []

    class Bench:
        conditions = None

        def __init__(self):
            self.asked = asked

        def alone(self):
            self.asked.append("alone")
            self.conditions = scale.Conditions((0.0,), (1.0,), "window", 1.0, "painted")
            return told

        def workers(self, count):
            self.asked.append(count)
            if self.asked == ["alone", 1]:
                raise KeyboardInterrupt
            assert self.conditions is not None
            return replace(told, name=scale.name_of(count))

        def conditions_text(self):
            return self.conditions.to_json()

        def overheads(self):
            self.asked.append("overheads")
            return overheads

    with pytest.raises(KeyboardInterrupt):
        scale.measured(Bench(), scale.Kept(Rows("scale", tmp_path), 8))
    runs, found = scale.measured(Bench(), scale.Kept(Rows("scale", tmp_path), 8))
    assert asked == ["alone", 1, 1, "overheads", 2]
    assert [run.name for run in runs] == ["this process", "1 worker", "2 workers"]
    assert found == overheads
    scale.measured(Bench(), scale.Kept(Rows("scale", tmp_path), 8))
    assert len(asked) == 5
    scale.measured(Bench(), scale.Kept(Rows("scale", tmp_path), 16))
    assert len(asked) == 9, "of another number of slices nothing is known"


def test_masks_that_differ_are_worth_no_rate(tmp_path, at, scale):
    class Bench:
        conditions = None

        def alone(self):
            self.conditions = scale.Conditions((0.0,), (1.0,), "window", 1.0, "painted")
            return scale.Run("this process", 8, 4.0, 100, "m")

        def workers(self, count):
            return scale.Run(scale.name_of(count), 8, 4.0, 100, "n" if count == 2 else "m")

        def conditions_text(self):
            return self.conditions.to_json()

        def overheads(self):
            return scale.Overheads(0.5, 0.01, 900.0)

    with pytest.raises(AssertionError, match="masks of 2 workers differ"):
        scale.measured(Bench(), scale.Kept(None, 8))


def test_the_section_says_whether_other_work_ran(scale):
    overheads = scale.Overheads(0.5, 0.01, 900.0)
    runs = [
        scale.Run(name, 60, 30.0, 10**9, "m", load)
        for name, load in (("this process", 1.0), ("1 worker", 1.2), ("2 workers", 2.1))
    ]
    text = scale.section(runs, overheads)
    assert "Nothing else ran beside it" in text
    assert "| 1 worker | 60 | 30.0 | 2.00 | 1.00 × | 1000 | 1.2 |" in text
    busy = [replace(run, load=run.load + 6) for run in runs]
    text = scale.section(busy, overheads)
    assert "**Other work ran on the machine meanwhile** (load 7.0, 7.2, 8.1" in text
