"""Damaged files open, or are refused by one sentence, in bounded time and memory: a part of ``make torture``."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzz_worker
import torture_fuzz
from fuzz_mutations import mutate, mutate_json
from fuzz_seeds import Seed, make_seeds
from fuzz_worker import ALLOWED, Opener

QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    made = Opener(seconds=60)  # a busy machine is no finding; what never ends still is
    yield made
    made.close()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> dict[str, list[Seed]]:
    by_kind: dict[str, list[Seed]] = {}
    for one in make_seeds(tmp_path_factory.mktemp("seeds")):
        by_kind.setdefault(one.kind, []).append(one)
    return by_kind


KINDS = sorted(fuzz_worker.OPEN)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seeds_themselves_open(kind, seeds, opener, tmp_path):
    for one in seeds[kind]:
        path = tmp_path / one.path.name
        if one.path.is_dir():  # to open a session is to finish what its journal says
            path = shutil.copytree(one.path, path)
        else:
            shutil.copyfile(one.path, path)
        assert opener.open(kind, path).ending == "opened"


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(dice=st.integers(0, 2**32), which=st.integers(0, 100))
def test_a_damaged_file_opens_or_is_refused(kind, dice, which, seeds, opener, tmp_path):
    one = seeds[kind][which % len(seeds[kind])]
    outcome = opener.open(kind, one.damaged(tmp_path, random.Random(dice)))
    assert outcome.ending in ALLOWED, outcome.text


def test_the_same_dice_give_the_same_file():
    content = bytes(range(256)) * 10
    assert mutate(content, random.Random(1)) == mutate(content, random.Random(1)) != content
    assert mutate_json('{"a": [1, 2]}', random.Random(3)) == mutate_json(
        '{"a": [1, 2]}', random.Random(3)
    )


# ---- what the fuzzer itself sees


def test_an_end_that_is_not_allowed_is_told_from_one_that_is(opener, tmp_path, monkeypatch):
    assert opener.open("no such kind", tmp_path).ending == "error"
    assert opener.open("tiff", tmp_path / "missing.tif").ending == "refused"
    monkeypatch.setattr(opener, "seconds", 0)
    packed = tmp_path / "packed.tif"
    tifffile.imwrite(packed, np.zeros((16, 16), np.uint8), compression="lzw")
    assert opener.open("tiff", packed).ending == "hang", "it is tried in a process of its own first"
    monkeypatch.undo()
    opener._started()
    opener._process.kill()
    opener._process.join()
    assert opener.open("npy", tmp_path).ending == "crash"


def test_a_finding_is_counted_and_its_file_kept(monkeypatch, tmp_path):
    class Broken:
        def open(self, kind, path):
            return fuzz_worker.Outcome("crash" if kind == "npy" else "opened")

        def close(self):
            pass

    monkeypatch.setattr(torture_fuzz, "Opener", Broken)
    counts = torture_fuzz.run(16, keep=tmp_path)
    assert (counts.tried, counts.survived) == (16, 15)
    assert [finding.kind for finding in counts.findings] == ["npy"]
    assert counts.findings[0].path.exists()
    assert counts.by_kind["tiff opened"] == 6


def test_batches_try_the_files_that_one_run_tries(monkeypatch, tmp_path):
    class Collecting:
        def open(self, kind, path):
            seen.append((kind, path.name))
            return fuzz_worker.Outcome("crash")

        def close(self):
            pass

    (tmp_path / "seeds").mkdir()
    seeds = torture_fuzz.make_seeds(tmp_path / "seeds")
    monkeypatch.setattr(torture_fuzz, "make_seeds", lambda _: seeds)
    monkeypatch.setattr(torture_fuzz, "Opener", Collecting)
    seen = []
    whole = torture_fuzz.run(6, 5, keep=tmp_path / "whole")
    parts = [
        torture_fuzz.run(size, 5, first=first, keep=tmp_path / "parts")
        for first, size in ((0, 4), (4, 2))
    ]
    assert seen[:6] == seen[6:]
    assert [one.number for part in parts for one in part.findings] == list(range(6))
    for one in whole.findings:
        if one.path.is_file():
            assert (tmp_path / "parts" / one.path.name).read_bytes() == one.path.read_bytes()
