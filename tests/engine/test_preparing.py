"""Jobs on the same stack with the same adapter share what was chosen for it."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from napari_salt.engine import preparing
from napari_salt.engine.requests import AdaptRequest, SegmentRequest, StackPrepared
from napari_salt.engine.tasks import finish, run_task
from napari_salt.model import predict
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label
from napari_salt.session.stack import Stack


@pytest.fixture
def images():
    rows, columns = np.mgrid[:40, :40]
    disk = (rows - 20) ** 2 + (columns - 16) ** 2 < 90
    return np.stack([np.where(disk, 180 + i, 40 + i) for i in range(4)]).astype(np.uint8)


@pytest.fixture
def adapter(images, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SALT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(preparing, "_last", None)
    out = tmp_path / "a.salt.safetensors"
    targets = np.where(images[1] > 100, 1, BACKGROUND).astype(np.uint16)
    settings = FitSettings(steps=0, device="cpu", other_stacks=False)
    paint = (AnnotatedSlice(1, targets, complete=True),)
    finish(run_task(AdaptRequest(paint, (Label(1, "disk"),), settings, out), Stack(images)))
    return out


@pytest.fixture
def times(monkeypatch):
    """How often a stack was prepared."""
    found = []
    real = predict.prepare

    def counted(*args, **options):
        found.append(1)
        conditions = yield from real(*args, **options)
        options["tell"]("told")
        return conditions

    monkeypatch.setattr(predict, "prepare", counted)
    return found


def segment(adapter, images, index):
    request = SegmentRequest(adapter, (index,), device="cpu")
    reports, _ = finish(run_task(request, Stack(images)))
    (conditions,) = [one.conditions for one in reports if isinstance(one, StackPrepared)]
    return conditions, [getattr(one, "message", "") for one in reports]


def test_a_stack_is_prepared_once_for_all_jobs_on_it(adapter, images, times):
    first, told = segment(adapter, images, 0)
    again, told_again = segment(adapter, images.copy(), 2)
    assert first == again
    assert first.thresholds
    assert len(times) == 1
    assert "told" in told
    assert "told" in told_again, "whoever asks is told"


def test_other_pixels_and_another_adapter_are_prepared_anew(adapter, images, times):
    segment(adapter, images, 0)
    other, _ = segment(adapter, images // 2, 0)
    assert other.elsewhere
    assert len(times) == 2
    os.utime(adapter, ns=(1, 1))
    segment(adapter, images // 2, 0)
    assert len(times) == 3


def test_what_was_stopped_half_way_is_prepared_anew(adapter, images, times, monkeypatch):
    job = run_task(SegmentRequest(adapter, (0,), device="cpu"), Stack(images))
    for report in job:
        if getattr(report, "phase", "") == "comparing":
            break
    job.close()
    segment(adapter, images, 0)
    assert len(times) == 2


def test_conditions_that_come_with_the_job_are_taken(adapter, images, times):
    first, _ = segment(adapter, images, 0)
    given = replace(first, thresholds=())
    request = SegmentRequest(adapter, (0,), device="cpu", conditions=given)
    reports, _ = finish(run_task(request, Stack(images)))
    assert not [one for one in reports if isinstance(one, StackPrepared)]
    assert len(times) == 1
