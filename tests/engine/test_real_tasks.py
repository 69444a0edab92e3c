"""The tasks on the embedded network: in the child, and stopped half way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_salt import wording
from napari_salt.engine.requests import (
    AdapterSaved,
    AdaptRequest,
    ExtendRequest,
    LookAheadRequest,
    LookAheadResult,
    ScoreRequest,
    SegmentRequest,
    WarmUpRequest,
)
from napari_salt.engine.tasks import finish, predictions_of, run_task
from napari_salt.errors import JobFailed, JobStopped
from napari_salt.model.adapter_file import load_adapter
from napari_salt.model.adapter_info import read_info
from napari_salt.model.encoder import Encoder
from napari_salt.model.framing import Framing
from napari_salt.records import (
    BACKGROUND,
    AnnotatedSlice,
    FitSettings,
    Label,
    SlicePrediction,
    StepReport,
)
from napari_salt.session.stack import Stack

LABELS = (Label(1, "disk"),)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SALT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def stack():
    rows, columns = np.mgrid[:40, :40]
    disk = (rows - 20) ** 2 + (columns - 16) ** 2 < 90
    return Stack(np.stack([np.where(disk, 180 + i, 40 + i) for i in range(4)]).astype(np.uint8))


def request(stack, out, *, steps=1, preview=None, other_stacks=False, slices=(1,)):
    settings = FitSettings(steps=steps, device="cpu", other_stacks=other_stacks)
    annotated = tuple(
        AnnotatedSlice(
            index,
            np.where(stack.plane(index) > 100, 1, BACKGROUND).astype(np.uint16),
            complete=True,
        )
        for index in slices
    )
    return AdaptRequest(annotated, LABELS, settings, out, preview=preview)


def test_adapt_and_segment_in_the_child(engine, stack, tmp_path):
    out = tmp_path / "a.salt.safetensors"
    finish(engine.submit(WarmUpRequest(FitSettings(device="cpu", other_stacks=False)), stack))
    reports, result = finish(
        engine.submit(request(stack, out, preview=2, other_stacks=True), stack)
    )
    saved = [report for report in reports if isinstance(report, AdapterSaved)]
    assert [one.provisional for one in saved] == [True, True, False], "before and after a preview"
    assert {one.path for one in saved} == {out}
    (preview,) = predictions_of(reports)
    assert (preview.index, preview.provisional) == (2, True)
    assert reports.index(saved[0]) < reports.index(preview) < reports.index(saved[1])
    assert any(isinstance(report, StepReport) and report.phase == "first fit" for report in reports)
    assert result.adapter_path == out
    assert result.size_bytes == out.stat().st_size
    assert result.record.slices == (1,)

    reports, result = finish(engine.submit(SegmentRequest(out, (3, 0), ("disk",), "cpu"), stack))
    predictions = [report for report in reports if isinstance(report, SlicePrediction)]
    assert [one.index for one in predictions] == [3, 0]
    assert result.slices == 2
    disk = stack.plane(0) > 100
    overlap = (predictions[1].labels == 1) & disk
    assert 2 * overlap.sum() / ((predictions[1].labels == 1).sum() + disk.sum()) > 0.9
    assert not [one for one in reports if "contrast" in getattr(one, "message", "")]

    darker = Stack(np.stack([stack.plane(index) // 2 for index in range(4)]))
    reports, _ = finish(engine.submit(SegmentRequest(out, (0,), None, "cpu"), darker))
    told = [one for one in reports if getattr(one, "phase", "") == "comparing"]
    first = next(one for one in reports if isinstance(one, SlicePrediction))
    assert told, "another stack: it says why the first slice takes so long"
    assert reports.index(told[0]) < reports.index(first)
    shares = [one.step / one.total for one in told]
    assert shares == sorted(shares)
    assert len(set(shares)) > 3
    assert "looking at a few slices" in wording.report(told[-1])


def test_a_first_fit_with_a_place_of_its_own_spares_the_adapter_before(stack, tmp_path):
    out, first = tmp_path / "a.salt.safetensors", tmp_path / "a.first-fit.salt.safetensors"
    out.write_text("the old one")
    asked = replace(request(stack, out), first=first)
    task = run_task(asked, stack)
    saved = next(one for one in task if isinstance(one, AdapterSaved))
    task.close()
    assert (saved.path, saved.provisional) == (first, True)
    assert out.read_text() == "the old one"
    assert read_info(first).labels == LABELS
    _, result = finish(run_task(asked, stack))
    assert result.adapter_path == out
    assert read_info(out).labels == LABELS
    assert not first.exists()


def test_an_adapter_for_its_own_stack_is_extended_in_the_child(engine, stack, tmp_path):
    first, later = tmp_path / "a.salt.safetensors", tmp_path / "b.salt.safetensors"
    asked = request(stack, first)
    finish(engine.submit(asked, stack))
    settings = replace(asked.settings, steps=1)
    record = replace(load_adapter(first).info.record, score_note="scored since")
    extension = ExtendRequest(first, asked.annotated, settings, later, record)
    reports, result = finish(engine.submit(extension, stack))
    assert result is None
    assert load_adapter(later).info.record.score_note == "scored since"
    assert {type(report) for report in reports} == {StepReport}
    before, after = load_adapter(first), load_adapter(later)
    assert before.info.this_stack_only
    assert not after.info.this_stack_only
    assert before.tensors.keys() < after.tensors.keys()
    assert all(torch.equal(values, after.tensors[name]) for name, values in before.tensors.items())


def test_a_later_round_is_scored_in_the_child(engine, stack, tmp_path):
    first, later = tmp_path / "a.salt.safetensors", tmp_path / "b.salt.safetensors"
    asked = request(stack, first, steps=None, slices=(0, 2))
    _, result = finish(engine.submit(replace(asked, score_later=True), stack))
    assert not result.score_waits, "there is no earlier round to go by"
    again = request(stack, later, steps=None, slices=(0, 2))
    _, result = finish(engine.submit(replace(again, init=first, score_later=True), stack))
    assert result.score_waits
    assert result.record.held_out_after is None
    before = later.read_bytes()
    scoring = ScoreRequest(later, asked.annotated, asked.settings)
    reports, scored = finish(engine.submit(scoring, stack))
    assert {type(report) for report in reports} == {StepReport}
    assert scored.record.held_out_after > 0.9
    assert scored.record.score_note == ""
    assert later.read_bytes() == before, "masks are known by it"


def test_what_was_looked_ahead_at_is_not_computed_again(stack, tmp_path, monkeypatch):
    settings = FitSettings(steps=0, device="cpu", other_stacks=False)
    for index in (1, 0):
        ahead = LookAheadRequest("k", index, settings)
        reports, result = finish(run_task(ahead, stack))
        assert not any(reports), "nobody waits for it"
        assert result == LookAheadResult(None, 0, room=True)
    seen = []
    real = Encoder._run
    monkeypatch.setattr(
        Encoder, "_run", lambda self, frames: seen.append(len(frames)) or real(self, frames)
    )
    out = tmp_path / "a.salt.safetensors"
    finish(run_task(request(stack, out, steps=0, preview=2), stack))
    assert seen == [1], "slice 1 was painted and seen, the preview of slice 2 was not"
    finish(run_task(SegmentRequest(out, (0, 1, 2), device="cpu"), stack))
    assert seen == [1, 1], "slice 3 is looked at, to find where labels begin"
    finish(run_task(SegmentRequest(out, (3,), device="cpu"), stack))
    assert seen == [1, 1]


def test_a_look_ahead_frames_slices_as_the_paint_asks_and_goes_on_where_it_was(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("napari_salt.engine.tasks.LOOK_SECONDS", 0.0)
    rows, columns = np.mgrid[:300, :600]
    dots = (rows % 20 < 6) & (columns % 20 < 6)
    stack = Stack(np.where(dots, 200, 30).astype(np.uint8)[None])
    painted = (AnnotatedSlice(0, np.where(dots, 1, BACKGROUND).astype(np.uint16), complete=True),)
    settings, frame, seen = FitSettings(device="cpu", other_stacks=False), 0, 0
    request, zoom = LookAheadRequest("dots", 0, settings, painted), None
    while True:
        _, result = finish(run_task(request, stack))
        assert result.zoom is not None, "small dots are seen enlarged, in tiles"
        assert zoom in (None, result.zoom)
        zoom, seen = result.zoom, seen + 1
        if not result.frame:
            break
        assert result.frame == frame + 1, "one frame, for the time was up"
        frame = result.frame
        request = LookAheadRequest("dots", 0, settings, (), zoom, frame)
    (height, width) = (300, 600)
    assert seen == len(Framing(256, zoom).layout(height, width).origins) > 1


def test_a_cache_that_holds_nothing_is_not_looked_into(stack, monkeypatch):
    monkeypatch.setenv("NAPARI_SALT_CACHE_MB", "0")
    monkeypatch.setattr(Encoder, "_run", lambda self, frames: pytest.fail("for nothing"))
    _, result = finish(
        run_task(LookAheadRequest("k", 1, FitSettings(device="cpu", other_stacks=False)), stack)
    )
    assert result == LookAheadResult(None, 0, room=False)


def test_a_stopped_adapt_leaves_its_first_fit(engine, stack, tmp_path):
    out = tmp_path / "a.salt.safetensors"
    job = engine.submit(request(stack, out, steps=100_000), stack)
    while not isinstance(next(job), AdapterSaved):
        pass
    engine.stop()
    with pytest.raises(JobStopped):
        finish(job)
    assert read_info(out).labels[0].name == "disk"
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [out]


def test_a_task_closed_inline_leaves_its_first_fit(stack, tmp_path):
    out = tmp_path / "a.salt.safetensors"
    task = run_task(request(stack, out, steps=100_000), stack)
    while not isinstance(next(task), AdapterSaved):
        pass
    task.close()
    assert read_info(out).record.kept == "first fit"


def test_a_missing_adapter_is_a_sentence(engine, stack, tmp_path):
    gone = tmp_path / "gone.salt.safetensors"
    with pytest.raises(JobFailed, match=r"gone\.salt\.safetensors' cannot be read"):
        finish(engine.submit(SegmentRequest(gone, (0,), None, "cpu"), stack))
